#pragma once

// How a counter becomes an item, apart from who draws: the CPU
// (negative_sampler.h) and a GPU (trainer/cuda/) get the same items for the same
// seed. Draw number i of a stream is a hash of seed, stream and i (Salmon et al.
// 2011). Plain constexpr arithmetic, so that a kernel may call it too.

#include <cstdint>

#include "base/split_mix64.h"

namespace neumf {

// What is drawn for: streams of different uses share nothing.
enum class DrawUse : uint64_t { kGroups = 1, kShared, kSharedRest };

// Draws that may be rejected before the items that are left are counted.
constexpr uint64_t kMaxRedraws = 64;

// The stream of batch number `number` of an epoch.
constexpr uint64_t StreamOfBatch(uint32_t epoch, uint64_t number) {
  return (uint64_t{epoch} << 40) + number;
}

// Where the counter of a stream begins.
constexpr uint64_t StreamBase(uint64_t seed, uint64_t stream, DrawUse use) {
  const uint64_t of_seed =
      SplitMix64(seed + kSplitMix64Step * static_cast<uint64_t>(use));
  return SplitMix64(of_seed + kSplitMix64Step * stream);
}

constexpr uint64_t DrawHash(uint64_t base, uint64_t counter) {
  return SplitMix64(base + kSplitMix64Step * (counter + 1));
}

// The hash as a number below `bound`, uniform up to 2^-64 * bound: the upper 64
// bits of hash * bound. REQUIRES: bound < 2^32.
constexpr uint32_t PickBelow(uint64_t hash, uint64_t bound) {
  const uint64_t low = (hash & 0xFFFFFFFF) * bound;
  const uint64_t high = (hash >> 32) * bound;
  return static_cast<uint32_t>((high + (low >> 32)) >> 32);
}

// The `rank`-th (from 0) row that is not in `excluded` [count], which ascends.
constexpr uint32_t NthOutside(const uint32_t* excluded, uint32_t count,
                              uint32_t rank) {
  // excluded[n] - n rows below excluded[n] are outside, so the answer has as
  // many excluded rows below it as there are n with excluded[n] - n <= rank.
  uint32_t low = 0;
  uint32_t high = count;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (excluded[middle] - middle <= rank) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return rank + low;
}

}  // namespace neumf
