#pragma once

// Exact answers for the few users whose lists could not hold their candidates,
// or who have no error bound. Nothing is kept but counts: the catalog is scored
// in float32 again and again, and each time kRadixBits more bits of the K-th
// greatest rank key are known, the highest first. Then exactly the answer's
// items are collected.
//
//   for (round = 0; round < kRadixRounds; ++round) {
//     RadixHistogram   counts the next digit of all keys that are still open
//     RadixStep        picks the digit
//   }
//   RadixCollect, FinishAgain
//
// Scores that do not crowd leave no key open after a round or two; then the
// remaining rounds score nothing and end at once.

#include <cstddef>
#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/device/bits.h"
#include "scoring/cuda/device/thread.h"
#include "scoring/cuda/kernels/block_select.h"
#include "scoring/cuda/kernels/eligible.h"
#include "scoring/cuda/kernels/exact_score.h"
#include "scoring/cuda/kernels/finish.h"
#include "scoring/cuda/kernels/offer.h"
#include "scoring/cuda/kernels/rank_keys.h"
#include "scoring/cuda/kernels/scan_exact.h"
#include "scoring/cuda/kernels/views.h"
#include "scoring/cuda/levels.h"

namespace neumf::cuda {

constexpr uint32_t kRadixBits = 16;
constexpr uint32_t kRadixRounds = 64 / kRadixBits;
constexpr uint32_t kRadixDigits = 1 << kRadixBits;
constexpr uint32_t kRadixUsers = 8;

// Who is ranked. REQUIRES: they are of kind kScan.
struct RadixUsers {
  uint32_t count = 0;
  uint32_t user[kRadixUsers] = {};  // places in the pass
};

// What is known about a user's K-th greatest key: its first bits are those of
// `least`, the others of which are 0. Of the keys that begin so, the greatest
// `open` belong to the answer. Where `open` is 0, all of them do, and the
// answer is all keys that are at least `least`.
struct RadixState {
  uint64_t least = 0;
  uint32_t open = 0;
  uint32_t reserved = 0;
};

// In device memory. The histogram is 0 before the first round, and again after
// the last one; the states are undefined before the first.
struct RadixMemory {
  RadixState* states = nullptr;   // [kRadixUsers]
  uint32_t* histogram = nullptr;  // [kRadixUsers, kRadixDigits]
};

// Any number of blocks.
struct RadixHistogram {
  static constexpr uint32_t kThreads = 128;
  static constexpr uint32_t kMinBlocks = 4;

  ExactModel model;
  Pass pass;
  ExactScratch scratch;
  RadixUsers users;
  RadixMemory memory;
  uint32_t round = 0;

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    const auto user_of = [&](uint32_t i) {
      const bool is_open = round == 0 || memory.states[i].open > 0;
      return is_open ? users.user[i] : kNone;
    };
    ScoreLevel<kThreads>(
        thread, model, pass, Level(), scratch, users.count, user_of,
        [&](uint32_t i, uint32_t user, uint32_t row, float score, bool exists) {
          const uint64_t key = exists ? ExactKey(score, row) : 0;
          const bool counts = key != 0 && IsOpen(i, key) &&
                              IsEligible(pass, pass.queries()[user], row);
          const uint32_t shift = 64 - kRadixBits * (round + 1);
          Count(thread, memory.histogram + size_t{i} * kRadixDigits,
                static_cast<uint32_t>(key >> shift) % kRadixDigits, counts);
        });
  }

 private:
  NEUMF_DEVICE bool IsOpen(uint32_t i, uint64_t key) const {
    return round == 0 ||
           (key ^ memory.states[i].least) >> (64 - kRadixBits * round) == 0;
  }

  // By all lanes of a warp. Scores that crowd have the same digit: the lanes
  // that agree with the first one are counted at once.
  template <typename Thread>
  NEUMF_DEVICE static void Count(Thread& thread, uint32_t* histogram,
                                 uint32_t digit, bool counts) {
    const uint32_t counted = thread.Ballot(counts);
    const uint32_t leader = counted == 0 ? 0 : LowestBit(counted);
    const uint32_t common = thread.Shuffle(digit, leader);
    const bool agrees = counts && digit == common;
    const uint32_t agreeing = thread.Ballot(agrees);
    if (thread.lane() == leader && counts) {
      thread.AtomicAdd(&histogram[common], CountBits(agreeing));
    } else if (counts && !agrees) {
      thread.AtomicAdd(&histogram[digit], 1);
    }
  }
};

// A block a listed user: users.count blocks.
struct RadixStep {
  static constexpr uint32_t kThreads = kDigits;
  static constexpr uint32_t kMinBlocks = 1;

  Pass pass;
  RadixUsers users;
  RadixMemory memory;
  uint32_t round = 0;

  static uint32_t SharedBytes() { return sizeof(SelectShared); }

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    const uint32_t i = thread.block();
    const uint32_t user = users.user[i];
    RadixState state;
    if (round == 0) {
      state.open = pass.queries()[user].k;
    } else {
      state = memory.states[i];
    }
    if (state.open > 0) {
      uint32_t* const histogram = memory.histogram + size_t{i} * kRadixDigits;
      Narrow(thread, histogram, &state);
      for (uint32_t d = thread.thread(); d < kRadixDigits; d += kThreads) {
        histogram[d] = 0;
      }
    }
    thread.SyncBlock();
    if (thread.thread() != 0) return;
    memory.states[i] = state;
    pass.count[user] = 0;
    pass.outcome[user] = Outcome::kReady;
  }

 private:
  // A digit in two halves: first the upper one, from the sums over the lower.
  template <typename Thread>
  NEUMF_DEVICE void Narrow(Thread& thread, const uint32_t* histogram,
                           RadixState* state) const {
    auto* const shared = reinterpret_cast<SelectShared*>(thread.shared());
    const uint32_t own = thread.thread();
    uint32_t sum = 0;
    for (uint32_t d = 0; d < kDigits; ++d) sum += histogram[own * kDigits + d];
    shared->counts[own] = sum;
    PickDigit(thread, state->open, shared);
    if (shared->total <= state->open) {  // fewer than K are eligible
      state->open = 0;
      return;
    }
    const uint32_t upper = shared->digit;
    state->open -= shared->above;
    thread.SyncBlock();
    shared->counts[own] = histogram[upper * kDigits + own];
    PickDigit(thread, state->open, shared);
    state->open -= shared->above;
    const uint64_t digit = upper * kDigits + shared->digit;
    state->least |= digit << (64 - kRadixBits * (round + 1));
    if (shared->counts[shared->digit] == state->open) state->open = 0;
  }
};

// Fills the users' lists with their answers. Any number of blocks.
// REQUIRES: k <= capacity.
struct RadixCollect {
  static constexpr uint32_t kThreads = 128;
  static constexpr uint32_t kMinBlocks = 4;

  ExactModel model;
  Pass pass;
  ExactScratch scratch;
  RadixUsers users;
  RadixMemory memory;

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    ScoreLevel<kThreads>(
        thread, model, pass, Level(), scratch, users.count,
        [&](uint32_t i) { return users.user[i]; },
        [&](uint32_t i, uint32_t user, uint32_t row, float score, bool exists) {
          const uint64_t key = exists ? ExactKey(score, row) : 0;
          const bool passes = key != 0 && key >= memory.states[i].least;
          if (!thread.AnyInWarp(passes)) return;
          Offer(thread, pass, ~uint32_t{0}, user, row, score, passes);
        });
  }
};

// Finish for the listed users alone: users.count blocks.
struct FinishAgain {
  static constexpr uint32_t kThreads = Finish::kThreads;
  static constexpr uint32_t kMinBlocks = Finish::kMinBlocks;

  Pass pass;
  RadixUsers users;

  static uint32_t SharedBytes() { return Finish::SharedBytes(); }

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    Finish finish;
    finish.pass = pass;
    finish.FinishUser(thread, users.user[thread.block()]);
  }
};

}  // namespace neumf::cuda
