#pragma once

// Between two levels of the scan: raises a user's threshold to what the K-th
// best candidate so far leaves possible, and drops the candidates below it.
//
// A list that had to lose candidates has no K-th best to go by. Its user gets
// Outcome::kOverflow and a threshold that nothing passes.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/device/thread.h"
#include "scoring/cuda/kernels/block_select.h"
#include "scoring/cuda/kernels/rank_keys.h"
#include "scoring/cuda/kernels/views.h"

namespace neumf::cuda {

// A block a user: max_users blocks.
struct SelectLevel {
  static constexpr uint32_t kThreads = 512;
  static constexpr uint32_t kMinBlocks = 2;

  Pass pass;

  static uint32_t SharedBytes() { return sizeof(SelectShared); }

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    const uint32_t user = thread.block();
    if (user >= pass.header().num_users) return;
    const PassQuery& query = pass.queries()[user];
    if (query.kind != QueryKind::kScan ||
        pass.outcome[user] != Outcome::kReady) {
      return;
    }
    const uint32_t count = pass.count[user];
    if (count > pass.capacity) {
      if (thread.thread() == 0) {
        pass.outcome[user] = Outcome::kOverflow;
        pass.threshold[user] = kInfinity;
      }
    } else if (count >= query.k) {
      Raise(thread, user, count, query.k);
    }
  }

 private:
  static constexpr float kInfinity = __builtin_huge_valf();

  template <typename Thread>
  NEUMF_DEVICE void Raise(Thread& thread, uint32_t user, uint32_t count,
                          uint32_t k) const {
    auto* const shared = reinterpret_cast<SelectShared*>(thread.shared());
    uint64_t* const keys = pass.candidates + uint64_t{user} * pass.capacity;
    const float kth =
        ScoreOfKey(KthGreatest<kThreads>(thread, keys, count, k, shared));
    // Rounding to the nearest keeps the order: a float32 score that is not
    // below the exact difference is not below the rounded one. A difference of
    // infinities is NaN and raises nothing.
    const float raised = kth - pass.margin[user];
    const float before = pass.threshold[user];
    const float threshold = raised > before ? raised : before;
    const uint32_t kept = KeepFrom<kThreads>(thread, keys, count,
                                             LeastRankKeyOf(threshold), shared);
    if (thread.thread() == 0) {
      pass.threshold[user] = threshold;
      pass.count[user] = kept;
    }
  }
};

}  // namespace neumf::cuda
