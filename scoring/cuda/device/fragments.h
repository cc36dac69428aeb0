#pragma once

// Who holds what when a warp multiplies matrices: for the instructions
// mma.m16n8k16 and m16n8k8 (PTX ISA, "Matrix fragments for mma.m16n8k16 with
// floating point type" and its sibling for k8), where in A [16, k], B [k, 8] and
// C [16, 8] each half or float of each lane's registers lies. With g = lane / 4
// and t = lane % 4:
//
//   A  word 0: row g,     columns 2t, 2t + 1       (low half: 2t)
//      word 1: row g + 8, the same columns
//      word 2: row g,     columns 2t + 8, 2t + 9   (k16 only)
//      word 3: row g + 8, the same
//   B  word 0: rows 2t, 2t + 1,     column g
//      word 1: rows 2t + 8, 2t + 9, column g       (k16 only)
//   C  float 0, 1: row g,     columns 2t, 2t + 1
//      float 2, 3: row g + 8, the same
//
// So the sums of two neighbouring products, packed in pairs, ARE the A fragment
// of the next product's k16 step: activations never leave the registers.
//
// Plain arithmetic, shared by packing, kernels and tests.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"

namespace neumf::cuda {

struct Place {
  uint32_t row = 0;
  uint32_t column = 0;
};

// Of half `half` (0 low, 1 high) of word `word`; of k8 there are words 0 and 1.
NEUMF_HOST_DEVICE constexpr Place PlaceInA(uint32_t lane, uint32_t word,
                                           uint32_t half) {
  return {lane / 4 + 8 * (word % 2), 2 * (lane % 4) + half + 8 * (word / 2)};
}

// Of k8 there is word 0.
NEUMF_HOST_DEVICE constexpr Place PlaceInB(uint32_t lane, uint32_t word,
                                           uint32_t half) {
  return {2 * (lane % 4) + half + 8 * word, lane / 4};
}

NEUMF_HOST_DEVICE constexpr Place PlaceInC(uint32_t lane, uint32_t index) {
  return {lane / 4 + 8 * (index / 2), 2 * (lane % 4) + index % 2};
}

// A user's tower vector meets the A fragments of the items: the pair of columns
// of A's words 0 and 1 of step s is word 2 s of the lanes with that t, the pair
// of words 2 and 3 is word 2 s + 1. A user's words lie four by four, [words / 4,
// 4 lanes t, 4], so that the lanes read neighbouring banks of shared memory.
// The place of the word that holds columns 2 p and 2 p + 1:
NEUMF_HOST_DEVICE constexpr uint32_t UserTowerWord(uint32_t p) {
  const uint32_t t = p % 4;
  const uint32_t word = p / 4;
  return word / 4 * 16 + t * 4 + word % 4;
}

}  // namespace neumf::cuda
