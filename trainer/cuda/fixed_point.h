#pragma once

// Sums that do not depend on their order. Blocks of a GPU add to the same
// gradient in whatever order they run; float32 would round differently each
// time, and the same seed would give another model. So everything that more
// than one block adds to is a 64-bit integer: a term is rounded once, to a
// multiple of 1 / scale, and integers add exactly.
//
// The scale is a power of two, chosen so that the sum cannot wrap around: a cell
// gets at most N terms, of at most kLargestTerm on average; one term out of
// bounds, or NaN, is left out and noted. With N = 2^20, a batch of 1M examples,
// a term is rounded to 2^-34 = 6e-11, far below the float32 that it was computed
// in for all but vanishing gradients.

#include <cmath>
#include <cstdint>

#include "scoring/cuda/device/annotations.h"

namespace neumf::cuda {

constexpr float kLargestTerm = 256;

struct FixedPoint {
  float scale = 1;
  // What a term may be, when a cell gets at most as many as there are examples,
  // and when it gets one of each block.
  float example_limit = kLargestTerm;
  float block_limit = kLargestTerm;
};

// For `num_examples` terms, or one of `num_blocks` each.
inline FixedPoint MakeFixedPoint(uint64_t num_examples, uint32_t num_blocks) {
  const auto bits = [](uint64_t count) {
    return static_cast<int>(std::ceil(std::log2(static_cast<double>(count))));
  };
  // 2^63 wraps around.
  constexpr int kBits = 62;
  constexpr int kTermBits = 8;
  static_assert(kLargestTerm == 1 << kTermBits);
  const int scale_bits = kBits - kTermBits - bits(num_examples);
  FixedPoint fixed;
  fixed.scale = std::ldexp(1.0F, scale_bits);
  fixed.block_limit = std::ldexp(1.0F, kBits - scale_bits - bits(num_blocks));
  return fixed;
}

// Adds `term` to `*cell`; sets `*out_of_bounds` instead when it is larger than
// the limit, or NaN.
template <typename Thread>
NEUMF_DEVICE void AddTerm(Thread& thread, const FixedPoint& fixed, float term,
                          float limit, uint64_t* cell,
                          uint32_t* out_of_bounds) {
  if (term == 0) return;  // most are, of a tower that has few units on
  if (!(fabsf(term) <= limit)) {
    thread.AtomicMax(out_of_bounds, 1);
    return;
  }
  // Times a power of two, which is exact. Two's complement adds as unsigned.
  const auto units = static_cast<int64_t>(llrintf(term * fixed.scale));
  thread.AtomicAdd(cell, static_cast<uint64_t>(units));
}

NEUMF_HOST_DEVICE double SumOf(uint64_t cell, double scale) {
  return static_cast<double>(static_cast<int64_t>(cell)) / scale;
}

}  // namespace neumf::cuda
