#pragma once

// The rank keys of scoring/rank_key.h, for kernels: a greater key stands before
// in the answer. 0 is no key of any score that is a number.

#include <cstdint>
#include <cstring>

#include "scoring/cuda/device/annotations.h"

namespace neumf::cuda {

constexpr uint32_t kSignOfScore = uint32_t{1} << 31;

// -0.0 counts as +0.0. REQUIRES: the score is not NaN.
NEUMF_HOST_DEVICE uint64_t RankKeyOf(float score, uint32_t row) {
  const float canonical = score + 0.0F;  // +0.0 of -0.0
  uint32_t bits;
  std::memcpy(&bits, &canonical, sizeof bits);
  // Negative numbers ascend with falling bits, below all others.
  bits ^= (bits & kSignOfScore) != 0 ? ~uint32_t{0} : kSignOfScore;
  return uint64_t{bits} << 32 | static_cast<uint32_t>(~row);
}

// The least key that an item of this score can have.
NEUMF_HOST_DEVICE uint64_t LeastRankKeyOf(float score) {
  return RankKeyOf(score, ~uint32_t{0});
}

NEUMF_HOST_DEVICE float ScoreOfKey(uint64_t key) {
  auto bits = static_cast<uint32_t>(key >> 32);
  bits ^= (bits & kSignOfScore) != 0 ? kSignOfScore : ~uint32_t{0};
  float score;
  std::memcpy(&score, &bits, sizeof score);
  return score;
}

NEUMF_HOST_DEVICE uint32_t RowOfKey(uint64_t key) {
  return ~static_cast<uint32_t>(key);
}

}  // namespace neumf::cuda
