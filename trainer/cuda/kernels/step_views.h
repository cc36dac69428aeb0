#pragma once

// What the kernels of a training step read and write, as pointers into device
// memory. All plain values, passed to kernels as they are.
//
// Letters: B groups of a batch, n negatives of a group, U users, I items, k
// factors, H1 .. HL the tower's widths. A PAIR is a user and an item: a group
// has 1 + n of them, the positive first.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "trainer/cuda/fixed_point.h"

namespace neumf::cuda {

constexpr uint32_t kMaxTowerLayers = 16;
constexpr uint32_t kNoBlock = 0xFFFFFFFF;

// y = W x + b. Places count from the dense part of the parameters.
struct LayerView {
  uint32_t in = 0;
  uint32_t out = 0;
  uint32_t weight = 0;       // [out, in] row-major
  uint32_t bias = kNoBlock;  // [out]; kNoBlock: none
};

// A table of embeddings, [rows, width]. It begins at `offset` of the parameters.
struct TableView {
  uint64_t offset = 0;
  uint32_t width = 0;  // 0: the model has none
};

// Where the parameters of a model lie in the flat vector (model/parameters.h):
// tables first, then the dense part.
struct ModelView {
  uint64_t num_parameters = 0;
  uint64_t dense_begin = 0;
  uint32_t num_dense = 0;

  // The product.
  TableView user_gmf, item_gmf;
  uint32_t gmf_head = kNoBlock;  // h [k]; kNoBlock: all ones

  // The tower. Layer 1 is first_user e + first_item f, whose bias is the
  // former's; layers[0 .. num_layers) are layers 2 .. L, all with ReLU.
  TableView user_tower, item_tower;
  uint32_t first_width = 0;  // H1; 0: no tower
  LayerView first_user, first_item;
  uint32_t num_layers = 0;
  LayerView layers[kMaxTowerLayers];
  // The score: w zL + b, of HL or, without a tower, of no inputs.
  LayerView head;
};

// The train events and what is never drawn for whom.
struct EventsView {
  uint32_t num_items = 0;
  const uint32_t* users = nullptr;  // [events], in the order of the sequences
  const uint32_t* items = nullptr;  // [events]
  const uint32_t* order = nullptr;  // [events], that of the epoch
  // The items of user u, ascending: excluded[excluded_offsets[u] .. [u + 1]).
  // Null: any item may be drawn.
  const uint64_t* excluded_offsets = nullptr;
  const uint32_t* excluded = nullptr;
};

struct BatchView {
  uint32_t num_groups = 0;    // B
  uint32_t group_size = 0;    // 1 + n
  uint32_t* users = nullptr;  // [B]
  uint32_t* items = nullptr;  // [B, 1 + n]
};

// The gradient as fixed_point.h adds it up, [num_parameters], of the SUM of the
// groups' losses, and that sum.
struct GradientView {
  FixedPoint fixed;
  uint64_t* cells = nullptr;  // [num_parameters + 1]; the last is the loss
  uint32_t* out_of_bounds = nullptr;  // 1 once a term was
};

}  // namespace neumf::cuda
