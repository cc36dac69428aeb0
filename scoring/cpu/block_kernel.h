#pragma once

// The inner loop of the CPU backend: the scores of one user for a run of item
// blocks, compiled once for each instruction set and chosen when the program
// runs.
//
// A block holds 16 items, one a lane, as rows of 16 floats:
//
//   item.tower column 0      | item 0 | item 1 | ... | item 15 |
//   ...
//   item.tower column H - 1  | ...
//   item.gmf column 0        | ...
//   ...
//   item.gmf column G - 1    | ...
//   item.bias                | ...                    (when the model has one)
//
// Lanes past the last item hold zeros: their scores are computed like others
// and mean nothing.
//
// Only instruction sets with a fused multiply-add take part: others would round
// differently from the reference.

#include <cstddef>
#include <cstdint>

#include "model/serving_model.h"
#include "scoring/cpu/layer_groups.h"

namespace neumf {

constexpr size_t kBlockItems = 16;

// Tower layer 2, 3, ... as the kernel reads it. Outputs past the layer's width
// have weights and bias of 0, and so give nothing to what reads them.
struct KernelLayer {
  size_t in = 0;
  size_t out = 0;  // those past the width included
  GroupCounts groups = {};
  const float* weight = nullptr;  // as PackOutput() writes them
  const float* bias = nullptr;    // [out]
};

// Everything that is the same for all pairs. Owns nothing.
struct KernelNetwork {
  Activation activation = Activation::kRelu;
  size_t gmf_width = 0;    // G
  size_t tower_width = 0;  // H
  bool has_item_bias = false;
  const KernelLayer* layers = nullptr;  // [num_layers]
  size_t num_layers = 0;
  const float* head_weight = nullptr;  // [head_width], zeros up to a group
  size_t head_width = 0;
  float head_bias = 0;
  size_t widest_layer = 0;  // outputs of it, layer 1 included

  size_t block_rows() const {
    return tower_width + gmf_width + (has_item_bias ? 1 : 0);
  }
  size_t block_floats() const { return block_rows() * kBlockItems; }
};

// Of the outputs of one layer for a block.
inline size_t KernelLayerFloats(const KernelNetwork& network) {
  return network.widest_layer * kBlockItems;
}
inline size_t KernelScratchFloats(const KernelNetwork& network) {
  return 2 * KernelLayerFloats(network);
}

// One user and the blocks to score.
struct KernelInput {
  const float* user_gmf = nullptr;    // [G]
  const float* user_tower = nullptr;  // [H]
  const float* blocks = nullptr;      // [num_blocks, block_floats()], 64-byte
                                      // aligned
  size_t num_blocks = 0;
  float threshold = 0;
  // Room for the outputs of two layers, KernelScratchFloats() long, 64-byte
  // aligned.
  float* scratch = nullptr;
};

// Users of a model without a tower. Their vectors stand as a layer would that
// has an output for each user, the head's bias as its biases: what is read of
// an item serves all of them.
struct KernelDotInput {
  const KernelLayer* users = nullptr;
  const float* thresholds = nullptr;  // [users->out]
  const float* blocks = nullptr;
  size_t num_blocks = 0;
};

// B = 1 for a user alone, users->out for KernelDotInput.
struct KernelOutput {
  float* scores = nullptr;  // [num_blocks, B, kBlockItems], 64-byte aligned
  // Bit l is set when the score in lane l is not below the threshold.
  uint16_t* hits = nullptr;  // [num_blocks, B]
};

struct BlockKernel {
  const char* target = nullptr;  // "AVX2", ...
  GroupWidths widths = {};
  void (*score)(const KernelNetwork& network, const KernelInput& input,
                const KernelOutput& output) = nullptr;
  // REQUIRES: H = 0.
  void (*score_dots)(const KernelNetwork& network, const KernelDotInput& input,
                     const KernelOutput& output) = nullptr;
};

// The kernel for this machine; null when it has no fused multiply-add.
const BlockKernel* FindBlockKernel();

// The instruction sets that a kernel was compiled for, as Highway's bits.
int64_t CompiledKernelTargets();

}  // namespace neumf
