#pragma once

// One score in float32, with scorer.h's order of operations, so with the
// reference's bits. ReLU towers of any widths.
//
// A thread has an item. Its activations are a column in a scratch of the block,
// [activations, kThreads], so that a warp's accesses are next to each other; the
// last layer's go straight into the score. A layer is computed kExactOuts
// outputs at a time, which share the load of each activation.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/device/thread.h"
#include "scoring/cuda/kernels/rank_keys.h"
#include "scoring/cuda/kernels/views.h"

namespace neumf::cuda {

// Floats of scratch that a thread needs.
NEUMF_HOST_DEVICE uint32_t ExactScratchFloats(const ExactModel& model) {
  return model.num_layers == 0   ? 0
         : model.num_layers == 1 ? model.tower_width
                                 : 2 * model.widest;
}

// Where a block's scratch is: its dynamic shared memory, which is faster, or,
// when that is too small, memory of the device.
struct ExactScratch {
  float* device = nullptr;  // [blocks, ExactScratchFloats, kThreads]; or null

  // Of the block's shared memory, when that is where the scratch is.
  template <uint32_t kThreads>
  static uint32_t SharedBytes(const ExactModel& model) {
    return sizeof(float) * kThreads * ExactScratchFloats(model);
  }

  // The calling thread's column; activation k is at [k * kThreads].
  template <uint32_t kThreads, typename Thread>
  NEUMF_DEVICE float* Column(Thread& thread, const ExactModel& model) const {
    float* const block =
        device == nullptr ? reinterpret_cast<float*>(thread.shared())
                          : device + uint64_t{thread.block()} *
                                         ExactScratchFloats(model) * kThreads;
    return block + thread.thread();
  }
};

// As activation.h has it: also of -0.0 and of NaN it makes +0.0.
NEUMF_DEVICE float Relu(float x) { return x > 0.0F ? x : 0.0F; }

// Four floats from an address that is a multiple of 16 bytes.
template <typename Thread>
NEUMF_DEVICE void LoadFour(Thread& thread, const float* from, float* values) {
  const Words4 words = thread.Load4(reinterpret_cast<const Words4*>(from));
  std::memcpy(values, &words, sizeof words);
}

// take(k, value) of each value of an item's row of `width`, k ascending.
template <typename Thread, typename Take>
NEUMF_DEVICE void ForEachOfRow(Thread& thread, const float* table,
                               uint32_t width, uint32_t row, const Take& take) {
  const float* const values = table + uint64_t{row} * width;
  if (width % 4 != 0) {
    for (uint32_t k = 0; k < width; ++k) take(k, values[k]);
    return;
  }
  for (uint32_t k = 0; k < width; k += 4) {
    float four[4];
    LoadFour(thread, values + k, four);
    NEUMF_UNROLL
    for (uint32_t i = 0; i < 4; ++i) take(k + i, four[i]);
  }
}

// take(o, activation) of each output of `layer`, o ascending, from the column
// `in`.
template <uint32_t kThreads, typename Thread, typename Take>
NEUMF_DEVICE void ForEachOutput(Thread& thread, const ExactLayer& layer,
                                const float* in, const Take& take) {
  constexpr size_t kNext = kThreads;  // from an activation to the next
  const uint32_t stride = PaddedOuts(layer.out);
  for (uint32_t first = 0; first < layer.out; first += kExactOuts) {
    float sums[kExactOuts];
    LoadFour(thread, layer.bias + first, sums);
    LoadFour(thread, layer.bias + first + 4, sums + 4);
    const float* weights = layer.weight + first;
    for (uint32_t k = 0; k < layer.in; ++k, weights += stride) {
      float weight[kExactOuts];
      LoadFour(thread, weights, weight);
      LoadFour(thread, weights + 4, weight + 4);
      const float h = in[k * kNext];
      NEUMF_UNROLL
      for (uint32_t i = 0; i < kExactOuts; ++i) {
        sums[i] = thread.Fma(weight[i], h, sums[i]);
      }
    }
    NEUMF_UNROLL
    for (uint32_t i = 0; i < kExactOuts; ++i) {
      // Padding may be NaN by now, times an infinite activation.
      if (first + i < layer.out) take(first + i, Relu(sums[i]));
    }
  }
}

// `score` with the tower's part added.
template <uint32_t kThreads, typename Thread>
NEUMF_DEVICE float AddExactTower(Thread& thread, const ExactModel& model,
                                 const float* user_tower, uint32_t row,
                                 float* column, float score) {
  const auto add_to_score = [&](uint32_t k, float h) {
    score = thread.Fma(model.head_weight[k], h, score);
  };
  if (model.num_layers == 0) {
    ForEachOfRow(thread, model.item_tower, model.tower_width, row,
                 [&](uint32_t k, float value) {
                   add_to_score(k, Relu(user_tower[k] + value));
                 });
    return score;
  }
  constexpr size_t kNext = kThreads;
  float* in = column;
  float* out = column + model.widest * kNext;
  ForEachOfRow(thread, model.item_tower, model.tower_width, row,
               [&](uint32_t k, float value) {
                 in[k * kNext] = Relu(user_tower[k] + value);
               });
  const uint32_t last = model.num_layers - 1;
  for (uint32_t layer = 0; layer < last; ++layer) {
    ForEachOutput<kThreads>(thread, model.layers[layer], in,
                            [&](uint32_t o, float h) { out[o * kNext] = h; });
    float* const next = out;
    out = in;
    in = next;
  }
  ForEachOutput<kThreads>(thread, model.layers[last], in, add_to_score);
  return score;
}

// The score of item `row`, of kThreads of a block at once. `column` is the
// thread's of ExactScratch; no other thread sees it.
template <uint32_t kThreads, typename Thread>
NEUMF_DEVICE float ExactScore(Thread& thread, const ExactModel& model,
                              const float* user_gmf, const float* user_tower,
                              uint32_t row, float* column) {
  float score = model.head_bias;
  ForEachOfRow(thread, model.item_gmf, model.gmf_width, row,
               [&](uint32_t k, float value) {
                 score = thread.Fma(user_gmf[k], value, score);
               });
  if (model.tower_width > 0) {
    score =
        AddExactTower<kThreads>(thread, model, user_tower, row, column, score);
  }
  if (model.item_bias != nullptr) score += model.item_bias[row];
  return score + 0.0F;
}

// Its rank key; 0 of a NaN, which has no place in an order.
NEUMF_DEVICE uint64_t ExactKey(float score, uint32_t row) {
  return score == score ? RankKeyOf(score, row) : 0;
}

}  // namespace neumf::cuda
