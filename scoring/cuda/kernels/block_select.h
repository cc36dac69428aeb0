#pragma once

// Selection among rank keys by all threads of a block: the K-th greatest, those
// from a key on, and all of them in order. Keys are distinct, but for any
// number of zeros, which stand for no key.
//
// Written out, where a GPU's libraries have such functions, because the tests'
// emulator must be able to run them.
//
// Each function is called by all threads of a block with the same arguments. It
// waits for them when it begins, so that it sees what they wrote and `shared`
// may serve again, and before it returns, so that they see what it wrote.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/device/bits.h"
#include "scoring/cuda/device/thread.h"

namespace neumf::cuda {

constexpr uint32_t kDigitBits = 8;
constexpr uint32_t kDigits = 1 << kDigitBits;

// What a block shares while it selects.
struct SelectShared {
  uint64_t found;            // KthGreatest's answer
  uint32_t counts[kDigits];  // of the keys with each digit
  uint32_t total;            // of all counts
  uint32_t digit;            // the digit of the k-th greatest
  uint32_t above;            // keys with a greater digit
  uint32_t varying_bits;     // from the highest bit that differs down
  uint32_t kept;
};

// From shared->counts: their total and, where that is at least k > 0, the digit
// of the k-th greatest key and how many keys have greater ones.
template <typename Thread>
NEUMF_DEVICE void PickDigit(Thread& thread, uint32_t k, SelectShared* shared) {
  constexpr uint32_t kOwn = kDigits / kLanes;
  thread.SyncBlock();
  if (thread.warp() == 0) {
    // A lane has kOwn digits, the first lane the greatest ones.
    uint32_t digit = kDigits - 1 - kOwn * thread.lane();
    uint32_t own = 0;
    for (uint32_t i = 0; i < kOwn; ++i) own += shared->counts[digit - i];
    uint32_t up_to_here = own;
    for (uint32_t step = 1; step < kLanes; step *= 2) {
      const uint32_t other =
          thread.Shuffle(up_to_here, (thread.lane() - step) % kLanes);
      if (thread.lane() >= step) up_to_here += other;
    }
    uint32_t above = up_to_here - own;
    if (above < k && k <= up_to_here) {
      while (above + shared->counts[digit] < k) {
        above += shared->counts[digit--];
      }
      shared->digit = digit;
      shared->above = above;
    }
    if (thread.lane() == kLanes - 1) shared->total = up_to_here;
  }
  thread.SyncBlock();
}

// How many low bits are left of the keys' first differing bit on, that
// included.
template <uint32_t kThreads, typename Thread>
NEUMF_DEVICE uint32_t VaryingBits(Thread& thread, const uint64_t* keys,
                                  uint32_t count, SelectShared* shared) {
  thread.SyncBlock();
  if (thread.thread() == 0) shared->varying_bits = 0;
  uint64_t varying = 0;
  for (uint32_t i = thread.thread(); i < count; i += kThreads) {
    varying |= keys[i] ^ keys[0];
  }
  uint32_t bits = BitWidth(varying);
  for (uint32_t step = 1; step < kLanes; step *= 2) {
    const uint32_t other = thread.Shuffle(bits, thread.lane() ^ step);
    bits = other > bits ? other : bits;
  }
  thread.SyncBlock();
  if (thread.lane() == 0) thread.AtomicMax(&shared->varying_bits, bits);
  thread.SyncBlock();
  return shared->varying_bits;
}

// Counts digits [low, low + kDigitBits) of the keys that equal `prefix` from
// bit `known` > 0 on. PickDigit() waits for the counts.
template <uint32_t kThreads, typename Thread>
NEUMF_DEVICE void CountDigits(Thread& thread, const uint64_t* keys,
                              uint32_t count, uint64_t prefix, uint32_t known,
                              uint32_t low, SelectShared* shared) {
  thread.SyncBlock();
  for (uint32_t i = thread.thread(); i < kDigits; i += kThreads) {
    shared->counts[i] = 0;
  }
  thread.SyncBlock();
  for (uint32_t i = thread.thread(); i < count; i += kThreads) {
    // In two steps, as `known` may be all 64 bits.
    if ((keys[i] ^ prefix) >> (known - 1) >> 1 != 0) continue;
    thread.AtomicAdd(&shared->counts[keys[i] >> low & (kDigits - 1)], 1);
  }
}

// The k-th greatest of `count` keys, zeros included. By digits, the highest
// first; scores that are near each other begin alike, so digits count from the
// first bit that differs, and few rounds leave one key.
// REQUIRES: 0 < k <= count.
template <uint32_t kThreads, typename Thread>
NEUMF_DEVICE uint64_t KthGreatest(Thread& thread, const uint64_t* keys,
                                  uint32_t count, uint32_t k,
                                  SelectShared* shared) {
  uint32_t known = VaryingBits<kThreads>(thread, keys, count, shared);
  if (known == 0) return keys[0];
  uint64_t prefix = keys[0] >> (known - 1) >> 1 << 1 << (known - 1);
  while (known > 0) {
    const uint32_t low = known > kDigitBits ? known - kDigitBits : 0;
    CountDigits<kThreads>(thread, keys, count, prefix, known, low, shared);
    PickDigit(thread, k, shared);
    k -= shared->above;
    prefix |= uint64_t{shared->digit} << low;
    known = low;
    if (shared->counts[shared->digit] == 1) break;
  }
  if (known == 0) return prefix;
  for (uint32_t i = thread.thread(); i < count; i += kThreads) {
    if ((keys[i] ^ prefix) >> known == 0) shared->found = keys[i];
  }
  thread.SyncBlock();
  return shared->found;
}

// Moves the keys that are at least `least` to the front, in any order; their
// number.
template <uint32_t kThreads, typename Thread>
NEUMF_DEVICE uint32_t KeepFrom(Thread& thread, uint64_t* keys, uint32_t count,
                               uint64_t least, SelectShared* shared) {
  thread.SyncBlock();
  if (thread.thread() == 0) shared->kept = 0;
  for (uint32_t first = 0; first < count; first += kThreads) {
    const uint32_t i = first + thread.thread();
    const uint64_t key = i < count ? keys[i] : 0;
    const bool keeps = i < count && key >= least;
    const uint32_t keepers = thread.Ballot(keeps);
    // Everything up to first + kThreads was read now, and no more than that is
    // written.
    thread.SyncBlock();
    uint32_t place = 0;
    if (thread.lane() == 0 && keepers != 0) {
      place = thread.AtomicAdd(&shared->kept, CountBits(keepers));
    }
    place = thread.Shuffle(place, 0) +
            CountBits(keepers & LanesBelow(thread.lane()));
    if (keeps) keys[place] = key;
  }
  thread.SyncBlock();
  return shared->kept;
}

// Sorts `size` keys, the greatest first, by a bitonic network. They may lie in
// any memory. REQUIRES: size is a power of two.
template <uint32_t kThreads, typename Thread>
NEUMF_DEVICE void SortDescending(Thread& thread, uint64_t* keys,
                                 uint32_t size) {
  thread.SyncBlock();
  for (uint32_t run = 2; run <= size; run *= 2) {
    for (uint32_t stride = run / 2; stride > 0; stride /= 2) {
      for (uint32_t pair = thread.thread(); pair < size / 2; pair += kThreads) {
        const uint32_t left = 2 * pair - (pair & (stride - 1));
        const uint32_t right = left + stride;
        const bool descends = (left & run) == 0;
        const uint64_t a = keys[left];
        const uint64_t b = keys[right];
        if ((a < b) == descends) {
          keys[left] = b;
          keys[right] = a;
        }
      }
      // The pairs of a warp span 2 kLanes keys of their own as long as strides
      // are no longer than kLanes.
      const uint32_t next = stride > 1 ? stride / 2 : run;
      if (stride > kLanes || next > kLanes) {
        thread.SyncBlock();
      } else {
        thread.SyncWarp();
      }
    }
  }
  thread.SyncBlock();
}

}  // namespace neumf::cuda
