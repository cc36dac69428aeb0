#pragma once

// Answers: a user's K best candidates, best first.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/device/thread.h"
#include "scoring/cuda/kernels/block_select.h"
#include "scoring/cuda/kernels/rank_keys.h"
#include "scoring/cuda/kernels/views.h"

namespace neumf::cuda {

// A block a user: max_users blocks. Once a pass, as it may reorder candidates.
// REQUIRES: k <= capacity / 4.
struct Finish {
  static constexpr uint32_t kThreads = 512;
  static constexpr uint32_t kMinBlocks = 2;

  Pass pass;
  // Whether Rescore scored what the scan found.
  bool rescored = false;

  static uint32_t SharedBytes() { return sizeof(Shared); }

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    if (thread.block() < pass.header().num_users) {
      FinishUser(thread, thread.block());
    }
  }

  // By a whole block.
  template <typename Thread>
  NEUMF_DEVICE void FinishUser(Thread& thread, uint32_t user) const {
    const PassQuery& query = pass.queries()[user];
    const uint32_t count =
        query.kind == QueryKind::kIdle ? 0 : pass.count[user];
    PassResult result;
    result.outcome = OutcomeOf(user, query, count);
    const bool is_ready = result.outcome == Outcome::kReady;
    if (is_ready && rescored && query.kind == QueryKind::kScan) {
      result.num_rescored = count;
    }
    if (thread.thread() == 0) pass.results[user] = result;
    if (is_ready && count > 0) Answer(thread, user, query.k, count);
  }

 private:
  // More candidates than this are too many to sort all of them.
  static constexpr uint32_t kSorted = 4096;

  struct Shared {
    SelectShared select;
    uint64_t keys[kSorted];
  };

  NEUMF_DEVICE Outcome OutcomeOf(uint32_t user, const PassQuery& query,
                                 uint32_t count) const {
    if (query.kind != QueryKind::kScan) return Outcome::kReady;
    const Outcome outcome = pass.outcome[user];
    return outcome == Outcome::kReady && count > pass.capacity
               ? Outcome::kOverflow
               : outcome;
  }

  template <typename Thread>
  NEUMF_DEVICE void Answer(Thread& thread, uint32_t user, uint32_t k,
                           uint32_t count) const {
    auto* const shared = reinterpret_cast<Shared*>(thread.shared());
    uint64_t* const keys = pass.candidates + uint64_t{user} * pass.capacity;
    if (count > kSorted && count > k) {
      // Zeros may be among the k greatest; they are harmless, but there may be
      // more of them than fit.
      const uint64_t kth =
          KthGreatest<kThreads>(thread, keys, count, k, &shared->select);
      count = KeepFrom<kThreads>(thread, keys, count, kth > 0 ? kth : 1,
                                 &shared->select);
    }
    uint32_t size = 1;
    while (size < count) size *= 2;
    // Where k is large, in place: the list has room for twice as many.
    uint64_t* const sorted = size <= kSorted ? shared->keys : keys;
    for (uint32_t i = thread.thread(); i < size; i += kThreads) {
      sorted[i] = i < count ? keys[i] : 0;
    }
    SortDescending<kThreads>(thread, sorted, size);
    Write(thread, user, sorted, k < count ? k : count);
  }

  // The first `count` keys as far as they are keys.
  template <typename Thread>
  NEUMF_DEVICE void Write(Thread& thread, uint32_t user, const uint64_t* keys,
                          uint32_t count) const {
    PassEntry* const entries =
        pass.entries + uint64_t{user} * pass.header().result_stride;
    for (uint32_t i = thread.thread(); i < count; i += kThreads) {
      if (keys[i] == 0) continue;
      entries[i].score = ScoreOfKey(keys[i]);
      entries[i].row = RowOfKey(keys[i]);
      const bool is_last = i + 1 == count || keys[i + 1] == 0;
      if (is_last) pass.results[user].count = i + 1;
    }
  }
};

}  // namespace neumf::cuda
