#pragma once

// log(1 + exp(x)), of which the log loss is made, right to the last places at
// both ends.

#include <cmath>

#include "scoring/cuda/device/annotations.h"

namespace neumf::cuda {

struct Softplus {
  float value;
  float slope;  // the sigmoid of x
};

// A NaN stays one in both.
NEUMF_DEVICE Softplus SoftplusAt(float x) {
  const float y = expf(-fabsf(x));
  return {(x > 0 ? x : 0) + log1pf(y), (x > 0 ? 1 : y) / (1 + y)};
}

}  // namespace neumf::cuda
