#pragma once

// What one call of Rank() works with on the device: a stream, the memory of a
// pass, and graphs of the kernels for passes of each size. Once it has met
// every kind of pass, nothing is allocated any more.
//
// For one thread at a time.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/serving_model.h"
#include "scoring/cuda/device/device.h"
#include "scoring/cuda/kernels/views.h"
#include "scoring/cuda/pass_input.h"
#include "scoring/cuda/pass_kernels.h"
#include "scoring/cuda/pass_memory.h"
#include "scoring/cuda/pass_size.h"

namespace neumf::cuda {

class Workspace {
 public:
  // `kernels` must outlive it.
  static absl::StatusOr<std::unique_ptr<Workspace>> Make(
      Device& device, const PassKernels& kernels, const PassMemorySizes& sizes,
      const ModelShape& shape);

  // Records the graphs of passes of this size ahead, for any number of users.
  absl::Status RecordUsual(const PassSize& size);

  // Queues all of a pass over `queries`: copies, kernels, copies of the results;
  // nothing when there is nothing to answer. `queries` must outlive Finish().
  // REQUIRES: `size` is that of their largest k, and has room for all.
  absl::Status Begin(absl::Span<const RankQuery> queries, const PassSize& size);
  // Waits for it, also after an error of Begin(); then ranks those users again
  // whose candidates were too many, or who have no bound. Until the next
  // Begin() there are results.
  absl::Status Finish();

  const PassInput& input() const { return input_; }
  // Users who took a second time, ascending.
  absl::Span<const uint32_t> ranked_again() const { return again_; }
  const PassResult& result(uint32_t user) const {
    return memory_.results()[user];
  }
  // [result(user).count], best first.
  const PassEntry* entries(uint32_t user) const {
    return memory_.entries() + uint64_t{user} * input_.max_k();
  }

  PassMemory& memory() { return memory_; }
  Stream& stream() { return *stream_; }

 private:
  // What a graph depends on.
  struct GraphKey {
    uint32_t users = 0;
    uint32_t bucket_k = 0;
    bool scans = false;

    friend bool operator==(const GraphKey& a, const GraphKey& b) {
      return a.users == b.users && a.bucket_k == b.bucket_k &&
             a.scans == b.scans;
    }
  };
  struct CachedGraph {
    GraphKey key;
    std::unique_ptr<Graph> graph;
  };

  Workspace(const PassKernels& kernels, ModelShape shape)
      : kernels_(kernels), shape_(std::move(shape)) {}

  // The graph for passes of this kind, recorded when it is not there.
  absl::StatusOr<const Graph*> FindGraph(const GraphKey& key,
                                         const PassSize& size);
  absl::Status CopyResults();
  // Queues the users of again_, over the same input, in float32.
  absl::Status QueueAgain();

  const PassKernels& kernels_;
  const ModelShape shape_;
  uint32_t max_users_ = 0;
  PassMemory memory_;
  std::vector<CachedGraph> graphs_;
  // Of the pass that was begun last.
  PassInput input_;
  Pass pass_;
  bool has_results_ = false;  // that are there after Synchronize()
  std::vector<uint32_t> again_;
  // Declared last: it waits for what is queued before memory goes.
  std::unique_ptr<Stream> stream_;
};

}  // namespace neumf::cuda
