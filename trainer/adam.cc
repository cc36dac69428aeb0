#include "trainer/adam.h"

#include <cmath>

#include "base/logging.h"

namespace neumf {

Adam::Adam(size_t num_parameters, const AdamOptions& options)
    : options_(options), mean_(num_parameters), mean_square_(num_parameters) {}

void Adam::Step(absl::Span<const float> gradient,
                absl::Span<float> parameters) {
  NEUMF_CHECK(gradient.size() == mean_.size());
  NEUMF_CHECK(parameters.size() == mean_.size());
  ++num_steps_;
  const auto steps = static_cast<double>(num_steps_);
  const double correction1 = 1 - std::pow(options_.beta1, steps);
  const double correction2 = 1 - std::pow(options_.beta2, steps);
  const auto step_size =
      static_cast<float>(options_.learning_rate / correction1);
  const auto root_correction = static_cast<float>(std::sqrt(correction2));
  const auto decay = static_cast<float>(options_.weight_decay);
  const auto epsilon = static_cast<float>(options_.epsilon);
  const auto beta1 = static_cast<float>(options_.beta1);
  const auto rest1 = static_cast<float>(1 - options_.beta1);
  const auto beta2 = static_cast<float>(options_.beta2);
  const auto rest2 = static_cast<float>(1 - options_.beta2);

  // Plain pointers: a Span's checked index would keep this from being
  // vectorized.
  const float* const gradients = gradient.data();
  float* const values = parameters.data();
  float* const means = mean_.data();
  float* const mean_squares = mean_square_.data();
  const size_t size = mean_.size();
  for (size_t i = 0; i < size; ++i) {
    const float g = gradients[i] + decay * values[i];
    means[i] = beta1 * means[i] + rest1 * g;
    mean_squares[i] = beta2 * mean_squares[i] + rest2 * g * g;
    values[i] -= step_size * means[i] /
                 (std::sqrt(mean_squares[i]) / root_correction + epsilon);
  }
}

}  // namespace neumf
