#pragma once

// Memory that one Rank() call works in, and a list of those not in use: after
// the first calls a scorer allocates nothing.

#include <memory>
#include <vector>

#include "base/aligned_matrix.h"
#include "base/mutex.h"
#include "scoring/cpu/block_kernel.h"
#include "scoring/cpu/coarse_user.h"
#include "scoring/cpu/dot_users.h"
#include "scoring/cpu/survivors.h"
#include "scoring/eligibility.h"
#include "scoring/top_k.h"

namespace neumf {

// What one thread of a call owns.
struct ThreadWorkspace {
  // What the thread found for one query in its share of the catalog.
  struct Selection {
    TopK top;
    Survivors survivors;  // of a first pass
    RemovedRows removed;  // of the query
    bool cancelled = false;
  };

  explicit ThreadWorkspace(const KernelNetwork& network)
      : scratch(KernelScratchFloats(network)), tile(network.block_floats()) {}

  std::vector<Selection> selections;  // at least one a query
  AlignedBuffer scratch;              // of the kernel
  AlignedBuffer tile;  // one block: rows gathered from the catalog
};

// A query with a first pass.
struct CoarseQuery {
  CoarseUser user;
  size_t query = 0;                 // its index
  bool has_paid = false;            // few items are left
  bool is_bounded = false;          // the user has a bound
  std::vector<uint32_t> left = {};  // rows to score in float32
};

// How the queries of a call are scanned. Not all of `groups` and `coarse` may
// be in use.
struct ScanPlan {
  std::vector<size_t> alone;     // queries that scan the catalog one by one
  std::vector<DotUsers> groups;  // and those that do it together
  size_t num_groups = 0;
  std::vector<CoarseQuery> coarse;  // those that begin with a first pass
  size_t num_coarse = 0;
};

struct Workspace {
  std::vector<ThreadWorkspace> threads;
  ScanPlan plan;
};

// May be used by any number of threads.
class WorkspaceList {
 public:
  // `network` must outlive the list.
  WorkspaceList(const KernelNetwork& network, size_t num_threads)
      : network_(network), num_threads_(num_threads) {}

  // One that nobody else uses, with selections for `num_queries`.
  std::unique_ptr<Workspace> Take(size_t num_queries);
  void GiveBack(std::unique_ptr<Workspace> workspace);

 private:
  std::unique_ptr<Workspace> TakeAny();

  const KernelNetwork& network_;
  const size_t num_threads_;
  Mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> free_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace neumf
