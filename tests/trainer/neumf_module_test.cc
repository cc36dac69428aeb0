#include "trainer/neumf_module.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/trainer/tiny_world.h"
#include "trainer/recipes.h"

namespace neumf {
namespace {

PairBatch SmallBatch() {
  PairBatch batch;
  batch.users = {0, 3, 3};
  batch.positives = {1, 6, 2};
  batch.negatives = {5, 0, 0};
  return batch;
}

double BprByDefinition(const NeuMfParameters& parameters,
                       const PairBatch& batch) {
  double loss = 0;
  for (size_t n = 0; n < batch.users.size(); ++n) {
    const std::vector<double> scores =
        ScoreByDefinition(parameters, static_cast<uint64_t>(batch.users[n]));
    loss += std::log1p(
        std::exp(scores[batch.negatives[n]] - scores[batch.positives[n]]));
  }
  return loss;
}

TEST(NeuMfParametersTest, CountIsThatOfThePublishedModel) {
  const TrainSettings settings = FindRecipe("d2l-neumf")->settings;
  NeuMfShape shape;
  shape.num_users = 943;
  shape.num_items = 1682;
  shape.factors = settings.factors;
  shape.tower_factors = settings.tower_factors;
  shape.hidden = settings.hidden;
  EXPECT_EQ(NeuMfLayout(shape).size, 52950U);
}

TEST(NeuMfParametersTest, WeightsStartSmallAndBiasesWithinTheirLimit) {
  NeuMfShape shape;
  shape.num_users = 300;
  shape.num_items = 500;
  shape.factors = 4;
  shape.tower_factors = 8;
  shape.hidden = {16, 9};
  NeuMfParameters parameters(shape);
  Random random(1);
  parameters.Initialize(random);
  double square_sum = 0;
  for (uint64_t user = 0; user < shape.num_users; ++user) {
    for (float w : parameters.row(parameters.layout().user_gmf, user)) {
      square_sum += double{w} * double{w};
    }
  }
  EXPECT_NEAR(std::sqrt(square_sum / (300 * 4)), 0.01, 0.001);
  float largest = 0;
  for (float b : parameters.row(parameters.layout().first_bias, 0)) {
    largest = std::max(largest, std::abs(b));
  }
  EXPECT_LE(largest, 0.25F);  // 1 / sqrt(16 inputs)
  EXPECT_GT(largest, 0.1F);
}

TEST(NeuMfModuleTest, ScoresAreThoseOfTheDefinition) {
  NeuMfParameters parameters = MakeRandomParameters(1);
  const NeuMfModule module(&parameters);
  for (uint32_t user = 0; user < parameters.shape().num_users; ++user) {
    const std::vector<double> scores = module.ScoreAllItems(user);
    const std::vector<double> expected = ScoreByDefinition(parameters, user);
    ASSERT_EQ(scores.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(scores[i], expected[i], 1e-12);
    }
  }
}

TEST(NeuMfModuleTest, LossIsTheSumOverTheBatch) {
  NeuMfParameters parameters = MakeRandomParameters(2);
  NeuMfModule module(&parameters);
  EXPECT_NEAR(module.ComputeBprGradient(SmallBatch()),
              BprByDefinition(parameters, SmallBatch()), 1e-4);
}

TEST(NeuMfModuleTest, LossOfEqualScoresIsLogTwoAPair) {
  NeuMfParameters parameters(MakeRandomParameters(1).shape());
  NeuMfModule module(&parameters);
  EXPECT_NEAR(module.ComputeBprGradient(SmallBatch()), 3 * std::log(2.0), 1e-5);
}

TEST(NeuMfModuleTest, GradientIsTheSlopeOfTheLoss) {
  NeuMfParameters parameters = MakeRandomParameters(3);
  NeuMfModule module(&parameters);
  module.ComputeBprGradient(SmallBatch());
  const std::vector<float> gradient(module.gradient().begin(),
                                    module.gradient().end());
  constexpr float kStep = 1e-3F;
  for (size_t i = 0; i < gradient.size(); ++i) {
    float& value = parameters.values()[i];
    const float middle = value;
    value = middle + kStep;
    const double up = value;
    const double loss_up = BprByDefinition(parameters, SmallBatch());
    value = middle - kStep;
    const double slope = (loss_up - BprByDefinition(parameters, SmallBatch())) /
                         (up - double{value});
    value = middle;
    EXPECT_NEAR(gradient[i], slope, 0.01 * std::max(1.0, std::abs(slope)))
        << "parameter " << i;
  }
}

TEST(NeuMfModuleTest, GradientDoesNotPileUp) {
  NeuMfParameters parameters = MakeRandomParameters(4);
  NeuMfModule module(&parameters);
  module.ComputeBprGradient(SmallBatch());
  const std::vector<float> first(module.gradient().begin(),
                                 module.gradient().end());
  module.ComputeBprGradient(SmallBatch());
  const std::vector<float> second(module.gradient().begin(),
                                  module.gradient().end());
  EXPECT_EQ(first, second);
}

}  // namespace
}  // namespace neumf
