#pragma once

// The products that a tile's forward and backward passes are made of, by all
// threads of a block. Matrices have a column a pair (tile.h).
//
// A thread computes 4 x 4 elements at a time, so of each two words that it reads
// it makes four multiply-adds. Its columns lie as far apart as there are threads
// beside each other, so that those read neighbouring words, in different banks.
// Every element belongs to one thread, which sums it in the order of the inner
// index: a product gives the same bits whichever thread runs first.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"

namespace neumf::cuda {

struct MatrixView {
  float* data = nullptr;
  uint32_t stride = 0;

  NEUMF_DEVICE float& at(uint32_t row, uint32_t column) const {
    return data[row * stride + column];
  }
};

// Weights as a product reads them: W, or W transposed.
struct WeightView {
  const float* data = nullptr;
  uint32_t rows = 0;
  uint32_t inner = 0;
  uint32_t row_step = 0;
  uint32_t inner_step = 0;
};
NEUMF_DEVICE WeightView Straight(const float* weight, uint32_t out,
                                 uint32_t in) {
  return {weight, out, in, in, 1};
}
NEUMF_DEVICE WeightView Transposed(const float* weight, uint32_t out,
                                   uint32_t in) {
  return {weight, in, out, 1, in};
}

constexpr uint32_t kEdge = 4;  // of the square that a thread computes

NEUMF_DEVICE uint32_t EdgesOf(uint32_t count) {
  return (count + kEdge - 1) / kEdge;
}

// Which rows and columns a thread computes: four in a row of `rows`, and
// slot + n * slots of `columns`, those beyond the last being that again, for
// nothing.
struct Square {
  uint32_t row[kEdge];
  uint32_t column[kEdge];
  bool has_row[kEdge];
  bool has_column[kEdge];

  NEUMF_DEVICE Square(uint32_t index, uint32_t rows, uint32_t columns) {
    const uint32_t slots = EdgesOf(columns);
    const uint32_t first_row = index / slots * kEdge;
    const uint32_t first_column = index % slots;
    NEUMF_UNROLL
    for (uint32_t n = 0; n < kEdge; ++n) {
      const uint32_t r = first_row + n;
      const uint32_t c = first_column + n * slots;
      has_row[n] = r < rows;
      has_column[n] = c < columns;
      row[n] = has_row[n] ? r : rows - 1;
      column[n] = has_column[n] ? c : columns - 1;
    }
  }
};

// Calls finish(row, column, sum) with each element of w x, x [w.inner, columns],
// once, in the thread that has it.
template <uint32_t kThreads, typename Thread, typename Finish>
NEUMF_DEVICE void Multiply(Thread& thread, const WeightView& w,
                           const MatrixView& x, uint32_t columns,
                           const Finish& finish) {
  const uint32_t count = EdgesOf(w.rows) * EdgesOf(columns);
  for (uint32_t i = thread.thread(); i < count; i += kThreads) {
    const Square square(i, w.rows, columns);
    float sums[kEdge][kEdge] = {};
    for (uint32_t k = 0; k < w.inner; ++k) {
      float weights[kEdge];
      float values[kEdge];
      NEUMF_UNROLL
      for (uint32_t n = 0; n < kEdge; ++n) {
        weights[n] = w.data[square.row[n] * w.row_step + k * w.inner_step];
        values[n] = x.at(k, square.column[n]);
      }
      NEUMF_UNROLL
      for (uint32_t r = 0; r < kEdge; ++r) {
        NEUMF_UNROLL
        for (uint32_t c = 0; c < kEdge; ++c) {
          sums[r][c] = thread.Fma(weights[r], values[c], sums[r][c]);
        }
      }
    }
    NEUMF_UNROLL
    for (uint32_t r = 0; r < kEdge; ++r) {
      NEUMF_UNROLL
      for (uint32_t c = 0; c < kEdge; ++c) {
        if (!square.has_row[r] || !square.has_column[c]) continue;
        finish(square.row[r], square.column[c], sums[r][c]);
      }
    }
  }
}

// The gradient of y = W x + b by W, d [out, columns] being that by y: adds d x^T
// to `d_weight` [out, in].
template <uint32_t kThreads, typename Thread>
NEUMF_DEVICE void AddOuter(Thread& thread, const MatrixView& d, uint32_t out,
                           const MatrixView& x, uint32_t in, uint32_t columns,
                           float* d_weight) {
  const uint32_t count = EdgesOf(out) * EdgesOf(in);
  for (uint32_t i = thread.thread(); i < count; i += kThreads) {
    const Square square(i, out, in);
    float sums[kEdge][kEdge] = {};
    for (uint32_t column = 0; column < columns; ++column) {
      float of_d[kEdge];
      float of_x[kEdge];
      NEUMF_UNROLL
      for (uint32_t n = 0; n < kEdge; ++n) {
        of_d[n] = d.at(square.row[n], column);
        of_x[n] = x.at(square.column[n], column);
      }
      NEUMF_UNROLL
      for (uint32_t r = 0; r < kEdge; ++r) {
        NEUMF_UNROLL
        for (uint32_t c = 0; c < kEdge; ++c) {
          sums[r][c] = thread.Fma(of_d[r], of_x[c], sums[r][c]);
        }
      }
    }
    NEUMF_UNROLL
    for (uint32_t r = 0; r < kEdge; ++r) {
      NEUMF_UNROLL
      for (uint32_t c = 0; c < kEdge; ++c) {
        if (!square.has_row[r] || !square.has_column[c]) continue;
        d_weight[square.row[r] * in + square.column[c]] += sums[r][c];
      }
    }
  }
}

// The same by b: adds the sums of d's rows to `d_bias` [out]. By the last
// threads of the block, as the first ones have most to do elsewhere.
template <uint32_t kThreads, typename Thread>
NEUMF_DEVICE void AddRowSums(Thread& thread, const MatrixView& d, uint32_t out,
                             uint32_t columns, float* d_bias) {
  for (uint32_t row = kThreads - 1 - thread.thread(); row < out;
       row += kThreads) {
    float sum = 0;
    for (uint32_t column = 0; column < columns; ++column) {
      sum += d.at(row, column);
    }
    d_bias[row] += sum;
  }
}

}  // namespace neumf::cuda
