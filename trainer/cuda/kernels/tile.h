#pragma once

// How a block lays out its shared memory.
//
// A TILE is as many whole groups as have at most 64 pairs, or 32 or 16 where
// there is no more room. Its matrices have a row a component and a column a pair
// (or a group, on the user's side), so that neighbouring threads, which work on
// neighbouring columns, read neighbouring words. The stride is odd: gathering a
// row of a table writes down a column, and then those words lie in different
// banks, too.
//
// Values and gradients share a place. A layer's gradient by its values needs of
// them only whether they are 0, so it is written over them, once the weight's
// gradient has read them.
//
// Small towers keep the dense parameters there, too, and the block's part of
// their gradient. Those of a large one stay in global memory, which the caches
// make bearable: of 64 pairs each weight is read three times.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "trainer/cuda/kernels/step_views.h"

namespace neumf::cuda {

constexpr uint32_t kMaxTilePairs = 64;

enum class DensePlace { kShared, kGlobal };

// A matrix in shared memory, in floats from its beginning.
struct TileMatrix {
  uint32_t begin = 0;
  uint32_t stride = 0;
};

struct TileLayout {
  DensePlace dense_place = DensePlace::kShared;
  uint32_t num_groups = 0;  // of a whole tile
  uint32_t dense = 0;       // kShared: a copy of the dense parameters
  uint32_t d_dense = 0;     // kShared: what the block has of their gradient
  uint32_t users = 0;       // the tile's rows of tables, as integers
  uint32_t items = 0;
  uint32_t losses = 0;  // [kMaxTilePairs] doubles
  TileMatrix user_gmf, item_gmf, d_product;
  TileMatrix user_tower, item_tower, user_half;
  TileMatrix values[kMaxTowerLayers];  // of layer 1 ..
  TileMatrix scores;
  uint32_t size = 0;  // in floats

  uint32_t bytes() const { return size * static_cast<uint32_t>(sizeof(float)); }
};

// Of at most `max_pairs` <= kMaxTilePairs. REQUIRES: group_size <= max_pairs.
inline TileLayout MakeTileLayout(const ModelView& model, uint32_t group_size,
                                 uint32_t max_pairs, DensePlace dense_place) {
  TileLayout tile;
  tile.dense_place = dense_place;
  tile.num_groups = max_pairs / group_size;
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
  tile.losses =
      take(kMaxTilePairs * (sizeof(double) / sizeof(float)));  // aligned
  if (dense_place == DensePlace::kShared) {
    tile.dense = take(model.num_dense);
    tile.d_dense = take(model.num_dense);
  }
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

}  // namespace neumf::cuda
