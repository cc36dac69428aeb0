#pragma once

// One score in float32, with scorer.h's order of operations, so with the
// reference's bits. ReLU towers of any widths.
//
// A thread has an item. Its activations are a column in a scratch of the block,
// [activations, kThreads], so that a warp's accesses are next to each other;
// the last layer's go straight into the score. A layer is computed kExactOuts
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

// take(k, item[k], user[k]) of `width` values of an item's row and a user's, k
// ascending. Where rows are aligned, loads of kAtOnce values of each are on
// their way together.
template <typename Thread, typename Take>
NEUMF_DEVICE void ForEachPair(Thread& thread, const float* item,
                              const float* user, uint32_t width,
                              const Take& take) {
  constexpr uint32_t kAtOnce = 16;
  if (width % 4 != 0) {
    for (uint32_t k = 0; k < width; ++k) take(k, item[k], user[k]);
    return;
  }
  for (uint32_t first = 0; first < width; first += kAtOnce) {
    float items[kAtOnce];
    float users[kAtOnce];
    NEUMF_UNROLL
    for (uint32_t i = 0; i < kAtOnce; i += 4) {
      // Beyond the last value, anything will do.
      const uint32_t k = first + i < width ? first + i : 0;
      LoadFour(thread, item + k, items + i);
      LoadFour(thread, user + k, users + i);
    }
    NEUMF_UNROLL
    for (uint32_t i = 0; i < kAtOnce; i += 4) {
      if (first + i == width) return;
      NEUMF_UNROLL
      for (uint32_t j = i; j < i + 4; ++j) take(first + j, items[j], users[j]);
    }
  }
}

// take(first, h) of each kExactOuts outputs of `layer`, ascending, from the
// column `in`. What h has beyond the last output means nothing.
template <uint32_t kThreads, typename Thread, typename Take>
NEUMF_DEVICE void ForEachOuts(Thread& thread, const ExactLayer& layer,
                              const float* in, const Take& take) {
  constexpr size_t kNext = kThreads;  // from an activation to the next
  const uint32_t stride = PaddedOuts(layer.out);
  const uint32_t width = layer.in;
  for (uint32_t first = 0; first < layer.out; first += kExactOuts) {
    float h[kExactOuts];
    LoadFour(thread, layer.bias + first, h);
    LoadFour(thread, layer.bias + first + 4, h + 4);
    const float* const weights = layer.weight + first;
    // Four times, so that loads do not wait for each other.
    NEUMF_UNROLL_4
    for (uint32_t k = 0; k < width; ++k) {
      float weight[kExactOuts];
      LoadFour(thread, weights + size_t{k} * stride, weight);
      LoadFour(thread, weights + size_t{k} * stride + 4, weight + 4);
      const float input = in[k * kNext];
      NEUMF_UNROLL
      for (uint32_t i = 0; i < kExactOuts; ++i) {
        h[i] = thread.Fma(weight[i], input, h[i]);
      }
    }
    NEUMF_UNROLL
    for (uint32_t i = 0; i < kExactOuts; ++i) h[i] = Relu(h[i]);
    take(first, h);
  }
}

// `score` with the part of a tower of one layer added.
template <typename Thread>
NEUMF_DEVICE float AddFirstLayer(Thread& thread, const ExactModel& model,
                                 const float* item_tower,
                                 const float* user_tower, float score) {
  ForEachPair(thread, item_tower, user_tower, model.tower_width,
              [&](uint32_t k, float item, float user) {
                score =
                    thread.Fma(model.head_weight[k], Relu(user + item), score);
              });
  return score;
}

// `score` with the part of a tower of more layers added.
template <uint32_t kThreads, typename Thread>
NEUMF_DEVICE float AddLayers(Thread& thread, const ExactModel& model,
                             const float* item_tower, const float* user_tower,
                             float* column, float score) {
  constexpr size_t kNext = kThreads;
  float* in = column;
  float* out = column + model.widest * kNext;
  ForEachPair(thread, item_tower, user_tower, model.tower_width,
              [&](uint32_t k, float item, float user) {
                in[k * kNext] = Relu(user + item);
              });
  const uint32_t last = model.num_layers - 1;
  for (uint32_t l = 0; l < last; ++l) {
    const auto keep = [&](uint32_t first, const float* h) {
      NEUMF_UNROLL
      for (uint32_t i = 0; i < kExactOuts; ++i) {
        if (first + i < model.layers[l].out) out[(first + i) * kNext] = h[i];
      }
    };
    ForEachOuts<kThreads>(thread, model.layers[l], in, keep);
    float* const next = out;
    out = in;
    in = next;
  }
  const auto add_to_score = [&](uint32_t first, const float* h) {
    float head[kExactOuts];
    NEUMF_UNROLL
    for (uint32_t i = 0; i < kExactOuts; ++i) {
      const bool exists = first + i < model.head_width;
      head[i] = model.head_weight[exists ? first + i : 0];
    }
    NEUMF_UNROLL
    for (uint32_t i = 0; i < kExactOuts; ++i) {
      // Padding may be NaN by now, times an infinite activation.
      if (first + i >= model.head_width) break;
      score = thread.Fma(head[i], h[i], score);
    }
  };
  ForEachOuts<kThreads>(thread, model.layers[last], in, add_to_score);
  return score;
}

// The score of item `row`, of kThreads of a block at once. `column` is the
// thread's of ExactScratch; no other thread sees it.
template <uint32_t kThreads, typename Thread>
NEUMF_DEVICE float ExactScore(Thread& thread, const ExactModel& model,
                              const float* user_gmf, const float* user_tower,
                              uint32_t row, float* column) {
  float score = model.head_bias;
  ForEachPair(thread, model.item_gmf + uint64_t{row} * model.gmf_width,
              user_gmf, model.gmf_width, [&](uint32_t, float item, float user) {
                score = thread.Fma(user, item, score);
              });
  const float* const item_tower =
      model.item_tower + uint64_t{row} * model.tower_width;
  if (model.num_layers > 0) {
    score = AddLayers<kThreads>(thread, model, item_tower, user_tower, column,
                                score);
  } else if (model.tower_width > 0) {
    score = AddFirstLayer(thread, model, item_tower, user_tower, score);
  }
  if (model.item_bias != nullptr) score += model.item_bias[row];
  return score + 0.0F;
}

// Its rank key; 0 of a NaN, which has no place in an order.
NEUMF_DEVICE uint64_t ExactKey(float score, uint32_t row) {
  return score == score ? RankKeyOf(score, row) : 0;
}

}  // namespace neumf::cuda
