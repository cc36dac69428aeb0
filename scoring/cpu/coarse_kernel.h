#pragma once

// The inner loop of the first pass: approximate scores of one user for a run of
// item blocks, in 8-bit multiplications. coarse_user.h says how far off they
// can be.
//
// Needs AVX-512 with VNNI: 64 multiply-adds of bytes an instruction, four times
// those of float32. Without it there is no first pass.
//
// Per block, all in integers up to the head:
//   h1 = saturating (item byte - user's offset)   the add and the ReLU at once
//   sum = bias + weight . h                        32 bits
//   h  = clamp(sum >> shift, 0, 255)               of layers that another reads
//   score = head_bias + user.gmf . item.gmf + head . max(sum, 0) + item.bias,
// the last line in float32, its first two terms with the bits of BlockKernel.

#include <cstddef>
#include <cstdint>

#include "scoring/cpu/block_kernel.h"

namespace neumf {

// Bytes of a 32-bit lane, for consecutive inputs of a layer.
constexpr size_t kCoarseQuad = 4;
// Outputs that are summed together.
constexpr size_t kCoarseGroup = 8;

// One user's tower layer 2, 3, ...
struct CoarseLayer {
  size_t in_quads = 0;  // inputs / kCoarseQuad
  size_t groups = 0;    // outputs / kCoarseGroup
  // [groups, in_quads, kCoarseGroup] words of four int8, for four consecutive
  // inputs.
  const int32_t* weight = nullptr;
  const int32_t* bias = nullptr;   // [outputs]
  const int32_t* shift = nullptr;  // [outputs]; not of the last layer
};

struct CoarseInput {
  const float* user_gmf = nullptr;      // [G]
  const int32_t* offsets = nullptr;     // [quads of H] words of four bytes
  const CoarseLayer* layers = nullptr;  // [num_layers], at least one
  size_t num_layers = 0;
  const float* head = nullptr;             // [outputs of the last layer]
  const uint8_t* coarse_blocks = nullptr;  // as CoarseItems has them
  const float* blocks = nullptr;           // as PackedItems has them
  size_t num_blocks = 0;
  float threshold = 0;
  float* scratch = nullptr;  // as in KernelInput
};

struct CoarseKernel {
  void (*score)(const KernelNetwork& network, const CoarseInput& input,
                const KernelOutput& output) = nullptr;
};

// The kernel for this machine; null when it has no 8-bit multiply-add.
const CoarseKernel* FindCoarseKernel();

}  // namespace neumf
