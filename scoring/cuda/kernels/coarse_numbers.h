#pragma once

// How numbers become coarse: the same on the host, which packs the network, and
// in the kernels that pack items and users.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/device/half.h"

namespace neumf::cuda {

constexpr float kLargestHalf = 65504;

// A number as a half. `error` is what the half is too large by: exactly, or,
// for numbers beyond halves, rounded to float32.
struct CoarseNumber {
  uint16_t bits = 0;
  float value = 0;  // of the half
  float error = 0;  // value - number
};

// The nearest half; of numbers beyond halves the largest one, which is no less
// true with its error than any other. NaN stays NaN.
NEUMF_HOST_DEVICE CoarseNumber MakeCoarse(float number) {
  const float clamped = number > kLargestHalf    ? kLargestHalf
                        : number < -kLargestHalf ? -kLargestHalf
                                                 : number;
  CoarseNumber coarse;
  coarse.bits = HalfBits(clamped);
  coarse.value = FloatOfHalf(coarse.bits);
  coarse.error = coarse.value - number;
  return coarse;
}

// What an item's score starts with. Ascends with the bias.
NEUMF_HOST_DEVICE float CoarseStart(float head_bias, float item_bias,
                                    float scale) {
  return (head_bias + item_bias) * scale;
}

}  // namespace neumf::cuda
