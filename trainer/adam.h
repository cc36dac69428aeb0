#pragma once

// Adam (Kingma and Ba 2015) over one flat array of parameters, in one pass.
//
// Dense, as in PyTorch: every parameter moves at every step, touched by the
// batch or not, and `weight_decay` is an L2 penalty: it is added to the
// gradient as weight_decay * parameter, biases included, before the moments see
// it.

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace neumf {

struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;    // decay of the mean of gradients
  double beta2 = 0.999;  // decay of the mean of their squares
  double epsilon = 1e-8;
  double weight_decay = 0;
};

// Belongs to one thread.
class Adam {
 public:
  Adam(size_t num_parameters, const AdamOptions& options);

  // REQUIRES: both have num_parameters values.
  void Step(absl::Span<const float> gradient, absl::Span<float> parameters);

 private:
  const AdamOptions options_;
  uint64_t num_steps_ = 0;
  std::vector<float> mean_;
  std::vector<float> mean_square_;
};

}  // namespace neumf
