#pragma once

// A scored row as one number, for selections: the greater key stands before in
// the answer (scorer.h, ORDER), so that candidates are compared, parted and
// sorted without a branch on ties.
//
//   bits 32-63   the score's bits, arranged to ascend with the score
//   bits  0-31   the row, inverted: of equal scores the smaller row is greater

#include <cstdint>
#include <cstring>

#include "scoring/scorer.h"

namespace neumf {

constexpr uint32_t kSignBit = uint32_t{1} << 31;

// REQUIRES: the score is not NaN and not -0.0.
inline uint64_t RankKey(ScoredRow scored) {
  uint32_t bits;
  std::memcpy(&bits, &scored.score, sizeof bits);
  // Negative numbers ascend with falling bits, below all others.
  bits ^= (bits & kSignBit) != 0 ? ~uint32_t{0} : kSignBit;
  return uint64_t{bits} << 32 | static_cast<uint32_t>(~scored.row);
}

inline ScoredRow FromRankKey(uint64_t key) {
  auto bits = static_cast<uint32_t>(key >> 32);
  bits ^= (bits & kSignBit) != 0 ? kSignBit : ~uint32_t{0};
  ScoredRow scored;
  std::memcpy(&scored.score, &bits, sizeof bits);
  scored.row = ~static_cast<uint32_t>(key);
  return scored;
}

}  // namespace neumf
