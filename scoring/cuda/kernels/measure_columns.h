#pragma once

// The smallest and the largest number of each column of an item table: what the
// scales of the coarse form are chosen from.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/device/half.h"
#include "scoring/cuda/device/thread.h"
#include "scoring/cuda/kernels/views.h"

namespace neumf::cuda {

// Of a column, as integers that ascend with the numbers, so that an atomic
// maximum finds them in any order of threads; 0: nothing was measured yet. NaN is
// beyond all numbers, so that a column with one has an end that is no number.
struct ColumnBits {
  uint32_t negated_low = 0;
  uint32_t high = 0;
};

NEUMF_HOST_DEVICE uint32_t AscendingBits(float value) {
  const uint32_t bits = BitsOfFloat(value);
  return (bits >> 31) != 0 ? ~bits : bits | 0x80000000;
}
NEUMF_HOST_DEVICE float FromAscendingBits(uint32_t ascending) {
  return FloatOfBits((ascending >> 31) != 0 ? ascending & 0x7FFFFFFF
                                            : ~ascending);
}

// REQUIRES: the column had a row.
inline ColumnRange RangeOf(const ColumnBits& bits) {
  return {-FromAscendingBits(bits.negated_low), FromAscendingBits(bits.high),
          0};
}

// Any number of blocks. REQUIRES: `columns` are zeros.
struct MeasureColumns {
  static constexpr uint32_t kThreads = 256;
  static constexpr uint32_t kMinBlocks = 1;

  const float* values = nullptr;  // [num_rows, width]
  uint32_t num_rows = 0;
  uint32_t width = 0;
  ColumnBits* columns = nullptr;  // [width]

  // A thread stays in its column; neighbours read neighbours.
  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    for (uint32_t first = 0; first < width; first += kThreads) {
      const uint32_t left = width - first;
      const uint32_t num_columns = left < kThreads ? left : kThreads;
      const uint32_t rows_at_once = kThreads / num_columns;
      const uint32_t row = thread.thread() / num_columns;
      if (row >= rows_at_once) continue;
      const uint32_t column = first + thread.thread() % num_columns;
      uint32_t negated_low = 0;
      uint32_t high = 0;
      for (uint64_t r = uint64_t{thread.block()} * rows_at_once + row;
           r < num_rows; r += uint64_t{thread.num_blocks()} * rows_at_once) {
        const float value = values[r * width + column];
        const uint32_t negated = AscendingBits(-value);
        const uint32_t ascending = AscendingBits(value);
        if (negated > negated_low) negated_low = negated;
        if (ascending > high) high = ascending;
      }
      thread.AtomicMax(&columns[column].negated_low, negated_low);
      thread.AtomicMax(&columns[column].high, high);
    }
  }
};

}  // namespace neumf::cuda
