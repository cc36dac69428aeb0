#include "trainer/adam.h"

#include <gtest/gtest.h>
#include <torch/optim/adam.h>

#include <vector>

#include "trainer/random.h"

namespace neumf {
namespace {

constexpr int64_t kSize = 1000;
constexpr int kSteps = 50;

std::vector<float> RandomValues(Random& random, double scale) {
  std::vector<float> values;
  for (int64_t i = 0; i < kSize; ++i) {
    values.push_back(static_cast<float>(scale * random.Normal()));
  }
  return values;
}

at::Tensor TensorOf(std::vector<float>& values) {
  return at::from_blob(values.data(), {kSize}, at::kFloat).clone();
}

// Moves two copies of the same parameters by the same gradients, one with our
// optimizer and one with LibTorch's; returns the largest difference.
double DifferenceFromTorch(const AdamOptions& options) {
  Random random(1);
  std::vector<float> ours = RandomValues(random, 0.1);
  at::Tensor theirs = TensorOf(ours).requires_grad_();
  Adam adam(kSize, options);
  torch::optim::Adam torch_adam(std::vector<at::Tensor>{theirs},
                                torch::optim::AdamOptions(options.learning_rate)
                                    .betas({options.beta1, options.beta2})
                                    .eps(options.epsilon)
                                    .weight_decay(options.weight_decay));
  for (int step = 0; step < kSteps; ++step) {
    // Some parameters have no gradient at some steps: they move all the same.
    std::vector<float> gradient = RandomValues(random, 1);
    for (int64_t i = step % 3; i < kSize; i += 3) gradient[i] = 0;
    adam.Step(gradient, absl::MakeSpan(ours));
    theirs.mutable_grad() = TensorOf(gradient);
    torch_adam.step();
  }
  return (theirs.detach() - TensorOf(ours)).abs().max().item<double>();
}

TEST(AdamTest, MovesAsTorchDoes) {
  AdamOptions options;
  options.learning_rate = 0.01;
  EXPECT_LT(DifferenceFromTorch(options), 1e-6);
}

TEST(AdamTest, DecaysEveryParameterAsTorchDoes) {
  AdamOptions options;
  options.learning_rate = 0.01;
  options.weight_decay = 0.1;
  EXPECT_LT(DifferenceFromTorch(options), 1e-6);
}

TEST(AdamTest, KeepsMovingAParameterWhoseGradientEnded) {
  Adam adam(1, AdamOptions());
  std::vector<float> parameter = {1};
  adam.Step(std::vector<float>{1}, absl::MakeSpan(parameter));
  const float after_gradient = parameter[0];
  adam.Step(std::vector<float>{0}, absl::MakeSpan(parameter));
  EXPECT_LT(parameter[0], after_gradient);
}

}  // namespace
}  // namespace neumf
