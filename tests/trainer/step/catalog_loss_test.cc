#include "trainer/step/catalog_loss.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "hwy/targets.h"
#include "trainer/random.h"

namespace neumf {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

struct Group {
  std::vector<float> scores;
  std::vector<uint32_t> targets;
  std::vector<float> weights;
};

struct Result {
  double loss = 0;
  std::vector<double> gradient;
};

double Softplus(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

double Sigmoid(double x) {
  return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
}

Result SoftmaxOracle(double temperature, const Group& group,
                     const std::vector<double>& weights) {
  double largest = -std::numeric_limits<double>::infinity();
  for (const float s : group.scores) largest = std::max(largest, double{s});
  double sum = 0;
  double total = 0;
  for (size_t c = 0; c < group.scores.size(); ++c) {
    sum += std::exp((group.scores[c] - largest) / temperature);
    total += weights[c];
  }
  Result result;
  result.loss = total * (largest / temperature + std::log(sum));
  for (size_t c = 0; c < group.scores.size(); ++c) {
    const double z = group.scores[c] / temperature;
    if (weights[c] != 0) result.loss -= weights[c] * z;
    const double p = std::exp((group.scores[c] - largest) / temperature) / sum;
    result.gradient.push_back((total * p - weights[c]) / temperature);
  }
  return result;
}

// The header's text in float64.
Result Oracle(const LossOptions& options, const Group& group) {
  std::vector<double> weights(group.scores.size());
  std::vector<bool> is_target(group.scores.size());
  for (size_t t = 0; t < group.targets.size(); ++t) {
    weights[group.targets[t]] = double{group.weights[t]};
    is_target[group.targets[t]] = true;
  }
  if (options.kind == LossKind::kSoftmax) {
    return SoftmaxOracle(options.temperature, group, weights);
  }
  const bool is_bce = options.kind == LossKind::kBce;
  const double w = options.negative_weight;
  Result result;
  for (size_t c = 0; c < group.scores.size(); ++c) {
    const double s = group.scores[c];
    double loss = 0;
    double slope = 0;
    if (is_target[c]) {
      loss = weights[c] * (is_bce ? Softplus(-s) : (1 - s) * (1 - s));
      slope = weights[c] * (is_bce ? -Sigmoid(-s) : -2 * (1 - s));
    } else if (group.scores[c] != kMasked) {
      loss = w * (is_bce ? Softplus(s) : s * s);
      slope = w * (is_bce ? Sigmoid(s) : 2 * s);
    }
    result.loss += loss;
    result.gradient.push_back(slope);
  }
  return result;
}

LossOptions OptionsOf(LossKind kind) {
  LossOptions options;
  options.kind = kind;
  options.temperature = 0.6;
  options.negative_weight = 0.25;
  return options;
}

// Scores N(0, spread), some of them masked; place `count / 2` is a target, and
// so is, where there are enough, the last one.
Group MakeGroup(size_t count, double spread, bool masked, Random* random) {
  Group group;
  for (size_t c = 0; c < count; ++c) {
    const bool out = masked && random->Below(3) == 0;
    group.scores.push_back(out ? kMasked
                               : static_cast<float>(spread * random->Normal()));
  }
  group.targets = {static_cast<uint32_t>(count / 2)};
  group.weights = {1.5F};
  if (count > 3) {
    group.targets.push_back(static_cast<uint32_t>(count - 1));
    group.weights.push_back(0.25F);
  }
  for (const uint32_t target : group.targets) {
    group.scores[target] = static_cast<float>(spread * random->Normal());
  }
  return group;
}

Result Compute(const LossOptions& options, const Group& group) {
  std::vector<float> gradient(group.scores.size(), -7.0F);
  Result result;
  result.loss = CatalogLoss(options).Compute(group.scores.data(),
                                             group.scores.size(), group.targets,
                                             group.weights, gradient.data());
  result.gradient.assign(gradient.begin(), gradient.end());
  return result;
}

void ExpectEqualsOracle(const LossOptions& options, const Group& group) {
  const Result expected = Oracle(options, group);
  const Result actual = Compute(options, group);
  EXPECT_NEAR(actual.loss, expected.loss, 2e-6 * (1 + std::abs(expected.loss)));
  for (size_t c = 0; c < group.scores.size(); ++c) {
    ASSERT_NEAR(actual.gradient[c], expected.gradient[c],
                2e-6 * (1 + std::abs(expected.gradient[c])))
        << "candidate " << c << " of score " << group.scores[c];
  }
}

class CatalogLossTest : public testing::TestWithParam<LossKind> {};

TEST_P(CatalogLossTest, EqualsFloat64AtAnySize) {
  Random random(1);
  for (const size_t count : {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 3706}) {
    for (const double spread : {0.1, 1.0, 6.0}) {
      for (const bool masked : {false, true}) {
        SCOPED_TRACE(absl::StrCat(count, " candidates, spread ", spread,
                                  masked ? ", masked" : ""));
        ExpectEqualsOracle(OptionsOf(GetParam()),
                           MakeGroup(count, spread, masked, &random));
      }
    }
  }
}

TEST_P(CatalogLossTest, EqualsFloat64OnEveryInstructionSet) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    Random random(2);
    for (const size_t count : {3, 17, 501}) {
      ExpectEqualsOracle(OptionsOf(GetParam()),
                         MakeGroup(count, 2, /*masked=*/true, &random));
    }
    hwy::SetSupportedTargetsForTest(0);
  }
}

TEST_P(CatalogLossTest, HoldsAtExtremeScores) {
  for (const float large : {30.0F, 90.0F, 1000.0F, 1e6F}) {
    for (const uint32_t target : {0U, 1U, 2U}) {
      SCOPED_TRACE(absl::StrCat("+-", large, ", target ", target));
      const Group group = {
          {large, -large, 0.5F, kMasked, -large}, {target}, {2.0F}};
      ExpectEqualsOracle(OptionsOf(GetParam()), group);
    }
  }
}

TEST_P(CatalogLossTest, WhatIsMaskedDoesNotCount) {
  const Group group = {{0.5F, kMasked, -1.0F, kMasked}, {2}, {1.0F}};
  const Group rest = {{0.5F, -1.0F}, {1}, {1.0F}};
  const Result with = Compute(OptionsOf(GetParam()), group);
  const Result without = Compute(OptionsOf(GetParam()), rest);
  EXPECT_NEAR(with.loss, without.loss, 1e-6);
  EXPECT_EQ(with.gradient[1], 0);
  EXPECT_EQ(with.gradient[3], 0);
}

TEST_P(CatalogLossTest, AGroupWithoutTargets) {
  const Group group = {{0.5F, -1.0F, kMasked}, {}, {}};
  ExpectEqualsOracle(OptionsOf(GetParam()), group);
}

TEST_P(CatalogLossTest, AllMaskedIsNothing) {
  const Group group = {{kMasked, kMasked}, {}, {}};
  const Result result = Compute(OptionsOf(GetParam()), group);
  EXPECT_EQ(result.loss, 0);
  EXPECT_THAT(result.gradient, testing::Each(0.0));
}

TEST_P(CatalogLossTest, NanShows) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::vector<float>& scores :
       {std::vector<float>{nan, nan, nan, nan}, {0.5F, nan, 1.0F, kMasked}}) {
    for (const uint32_t target : {0U, 2U}) {
      const Result result =
          Compute(OptionsOf(GetParam()), {scores, {target}, {1.0F}});
      EXPECT_FALSE(std::isfinite(result.loss));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Losses, CatalogLossTest,
                         testing::Values(LossKind::kSoftmax, LossKind::kBce,
                                         LossKind::kSquare),
                         [](const testing::TestParamInfo<LossKind>& kind) {
                           return std::string(LossKindName(kind.param));
                         });

TEST(IsCatalogLossTest, NamesThree) {
  EXPECT_TRUE(IsCatalogLoss(LossKind::kSoftmax));
  EXPECT_TRUE(IsCatalogLoss(LossKind::kBce));
  EXPECT_TRUE(IsCatalogLoss(LossKind::kSquare));
  EXPECT_FALSE(IsCatalogLoss(LossKind::kBpr));
  EXPECT_FALSE(IsCatalogLoss(LossKind::kWarp));
}

}  // namespace
}  // namespace neumf
