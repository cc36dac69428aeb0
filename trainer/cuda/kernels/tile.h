#pragma once

// How a block lays out its shared memory, and the products that it is made of.
//
// A TILE is as many whole groups as have at most 64 pairs. Its matrices have a
// row a component and a column a pair (or a group, on the user's side), so that
// neighbouring threads, which work on neighbouring columns, read neighbouring
// words. The stride is odd: gathering a row of a table writes down a column, and
// then those words lie in different banks, too.
//
// Values and gradients share a place. A layer's gradient by its values needs of
// them only whether they are 0, so it is written over them, once the weight's
// gradient has read them.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "trainer/cuda/kernels/step_views.h"

namespace neumf::cuda {

constexpr uint32_t kTilePairs = 64;

// A matrix in shared memory, in floats from its beginning.
struct TileMatrix {
  uint32_t begin = 0;
  uint32_t stride = 0;
};

struct TileLayout {
  uint32_t num_groups = 0;  // of a whole tile
  uint32_t dense = 0;       // a copy of the dense parameters
  uint32_t d_dense = 0;     // what the block has of their gradient
  uint32_t users = 0;       // the tile's rows of tables, as integers
  uint32_t items = 0;
  uint32_t losses = 0;  // [kTilePairs] doubles
  TileMatrix user_gmf, item_gmf, d_product;
  TileMatrix user_tower, item_tower, user_half;
  TileMatrix values[kMaxTowerLayers];  // of layer 1 ..
  TileMatrix scores;
  uint32_t size = 0;  // in floats

  uint32_t bytes() const { return size * static_cast<uint32_t>(sizeof(float)); }
};

// REQUIRES: group_size <= kTilePairs.
inline TileLayout MakeTileLayout(const ModelView& model, uint32_t group_size) {
  TileLayout tile;
  tile.num_groups = kTilePairs / group_size;
  const auto take = [&tile](uint32_t count) {
    const uint32_t begin = tile.size;
    tile.size += count;
    return begin;
  };
  const auto take_matrix = [&](uint32_t rows, uint32_t cols) {
    const uint32_t stride = cols | 1;
    return TileMatrix{take(rows * stride), stride};
  };
  const uint32_t num_pairs = tile.num_groups * group_size;
  tile.losses = take(kTilePairs * (sizeof(double) / sizeof(float)));  // aligned
  tile.dense = take(model.num_dense);
  tile.d_dense = take(model.num_dense);
  tile.users = take(tile.num_groups);
  tile.items = take(num_pairs);
  tile.user_gmf = take_matrix(model.user_gmf.width, tile.num_groups);
  tile.d_product = take_matrix(model.user_gmf.width, tile.num_groups);
  tile.item_gmf = take_matrix(model.item_gmf.width, num_pairs);
  tile.user_tower = take_matrix(model.user_tower.width, tile.num_groups);
  tile.item_tower = take_matrix(model.item_tower.width, num_pairs);
  tile.user_half = take_matrix(model.first_width, tile.num_groups);
  tile.values[0] = take_matrix(model.first_width, num_pairs);
  for (uint32_t l = 0; l < model.num_layers; ++l) {
    tile.values[l + 1] = take_matrix(model.layers[l].out, num_pairs);
  }
  tile.scores = take_matrix(1, num_pairs);
  return tile;
}

// A matrix in place.
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

// Rows that a thread computes at once: each word of x is used so often.
constexpr uint32_t kRowsAThread = 4;

// Calls finish(row, column, sum) with each element of w x, x [w.inner, columns],
// once, in the thread that has it. Sums are in the order of the inner index.
template <uint32_t kThreads, typename Thread, typename Finish>
NEUMF_DEVICE void Multiply(Thread& thread, const WeightView& w,
                           const MatrixView& x, uint32_t columns,
                           const Finish& finish) {
  const uint32_t row_blocks = (w.rows + kRowsAThread - 1) / kRowsAThread;
  for (uint32_t i = thread.thread(); i < row_blocks * columns; i += kThreads) {
    const uint32_t first = i / columns * kRowsAThread;
    const uint32_t column = i % columns;
    const float* rows[kRowsAThread];
    float sums[kRowsAThread] = {};
    NEUMF_UNROLL
    for (uint32_t r = 0; r < kRowsAThread; ++r) {
      // Beyond the last row that one is read again, for nothing.
      const uint32_t row = first + r < w.rows ? first + r : w.rows - 1;
      rows[r] = w.data + row * w.row_step;
    }
    for (uint32_t k = 0; k < w.inner; ++k) {
      const float value = x.at(k, column);
      NEUMF_UNROLL
      for (uint32_t r = 0; r < kRowsAThread; ++r) {
        sums[r] = thread.Fma(rows[r][k * w.inner_step], value, sums[r]);
      }
    }
    NEUMF_UNROLL
    for (uint32_t r = 0; r < kRowsAThread; ++r) {
      if (first + r < w.rows) finish(first + r, column, sums[r]);
    }
  }
}

// The gradient of y = W x + b by its weights, d being that by y: adds d x^T to
// `d_weight` [out, in] and the sums of d's rows to `d_bias` [out], which may be
// null. Every element belongs to one thread, so the order of sums is fixed.
template <uint32_t kThreads, typename Thread>
NEUMF_DEVICE void AddOuter(Thread& thread, const MatrixView& d, uint32_t out,
                           const MatrixView& x, uint32_t in, uint32_t columns,
                           float* d_weight, float* d_bias) {
  // The bias is the weight of one more input, which is 1.
  const uint32_t inputs = d_bias != nullptr ? in + 1 : in;
  const uint32_t row_blocks = (out + kRowsAThread - 1) / kRowsAThread;
  for (uint32_t i = thread.thread(); i < row_blocks * inputs; i += kThreads) {
    const uint32_t first = i / inputs * kRowsAThread;
    const uint32_t k = i % inputs;
    float sums[kRowsAThread] = {};
    for (uint32_t column = 0; column < columns; ++column) {
      const float value = k < in ? x.at(k, column) : 1.0F;
      NEUMF_UNROLL
      for (uint32_t r = 0; r < kRowsAThread; ++r) {
        const uint32_t row = first + r < out ? first + r : out - 1;
        sums[r] = thread.Fma(d.at(row, column), value, sums[r]);
      }
    }
    NEUMF_UNROLL
    for (uint32_t r = 0; r < kRowsAThread; ++r) {
      if (first + r >= out) continue;
      float* const place =
          k < in ? d_weight + (first + r) * in + k : d_bias + first + r;
      *place += sums[r];
    }
  }
}

}  // namespace neumf::cuda
