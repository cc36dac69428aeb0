#pragma once

// The CPU backend's kernel without what surrounds it: scores every item for
// every user of a batch, in the backend's order (a piece of the catalog that
// fits the cache, then user after user), and looks at no score. What a ranking
// takes longer than this is the cost of selecting and filtering.
//
// Belongs to one thread.

#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "base/thread_pool.h"
#include "bench/bench_model.h"
#include "scoring/cpu/packed_items.h"
#include "scoring/cpu/packed_network.h"
#include "scoring/cpu/workspace.h"

namespace neumf {

class KernelAlone {
 public:
  // Packs its own copy of the items. REQUIRES: FindBlockKernel() finds one.
  KernelAlone(const BenchModel& model, size_t num_threads);

  void Run(absl::Span<const RankQuery> queries);

 private:
  void ScorePiece(const RankQuery& query, uint64_t first, uint64_t end,
                  ThreadWorkspace& thread) const;

  const BlockKernel& kernel_;
  const PackedNetwork network_;
  PackedItems items_;
  ThreadPool threads_;
  std::vector<ThreadWorkspace> workspaces_;  // by thread
};

}  // namespace neumf
