#include "trainer/step/group_loss.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "hwy/targets.h"
#include "tests/support/status_matchers.h"
#include "trainer/random.h"

namespace neumf {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr float kMasked = -std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

constexpr LossKind kKinds[] = {
    LossKind::kBpr,    LossKind::kHinge,   LossKind::kBce,  LossKind::kGbce,
    LossKind::kSquare, LossKind::kSoftmax, LossKind::kWarp, LossKind::kCcl};

LossOptions OptionsOf(LossKind kind) {
  LossOptions options;
  options.kind = kind;
  options.num_items = 4000;
  return options;
}

double Softplus(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

// The first of the draws `t` that violates the margin.
double WarpOracle(const LossOptions& options, double s,
                  const std::vector<double>& t) {
  for (size_t j = 0; j < t.size(); ++j) {
    const double violation = options.margin - s + t[j];
    if (violation <= 0) continue;
    double phi = 0;
    for (uint64_t i = 1; i <= (options.num_items - 1) / (j + 1); ++i) {
      phi += 1 / static_cast<double>(i);
    }
    return phi * violation;
  }
  return 0;
}

// What the header says, in float64 and as plainly as can be. `scores` has the
// positive first; `log_q` may be empty.
double Oracle(const LossOptions& options, const std::vector<double>& scores,
              const std::vector<double>& log_q) {
  const double s = scores[0];
  const double m = options.margin;
  const double w = options.negative_weight;
  std::vector<double> t;
  std::vector<double> q;
  for (size_t j = 1; j < scores.size(); ++j) {
    if (std::isinf(scores[j])) continue;
    t.push_back(scores[j]);
    q.push_back(log_q.empty() ? 0 : log_q[j] - log_q[0]);
  }
  const auto n = static_cast<double>(t.size());
  const auto items = static_cast<double>(options.num_items);
  const auto sum = [&](auto f) {
    double total = 0;
    for (double each : t) total += f(each);
    return total;
  };
  switch (options.kind) {
    case LossKind::kBpr:
      return n == 0 ? 0 : sum([&](double x) { return Softplus(x - s); }) / n;
    case LossKind::kHinge:
      return n == 0
                 ? 0
                 : sum([&](double x) { return std::max(0.0, m - s + x); }) / n;
    case LossKind::kBce:
      return (Softplus(-s) + w * sum(Softplus)) / (1 + n);
    case LossKind::kGbce: {
      const double alpha = std::min(1.0, n / (items - 1));
      const double t_cal = options.calibration;
      const double beta = alpha == 0
                              ? 1 - t_cal
                              : alpha * (t_cal * (1 - 1 / alpha) + 1 / alpha);
      return (beta * Softplus(-s) + w * sum(Softplus)) / (1 + n);
    }
    case LossKind::kSquare:
      return ((1 - s) * (1 - s) + w * sum([](double x) { return x * x; })) /
             (1 + n);
    case LossKind::kSoftmax: {
      double greatest = 0;
      std::vector<double> z;
      for (size_t j = 0; j < t.size(); ++j) {
        z.push_back((t[j] - s) / options.temperature - q[j]);
        greatest = std::max(greatest, z.back());
      }
      double rest = 0;
      for (double each : z) rest += std::exp(each - greatest);
      return greatest == 0 ? std::log1p(rest)
                           : greatest + std::log(rest + std::exp(-greatest));
    }
    case LossKind::kWarp:
      return WarpOracle(options, s, t);
    case LossKind::kCcl:
      return 1 - s + (n == 0 ? 0 : w / n * sum([&](double x) {
                                     return std::max(0.0, x - m);
                                   }));
  }
  return 0;
}

// Central differences of the oracle; 0 where a score is masked.
std::vector<double> OracleGradient(const LossOptions& options,
                                   std::vector<double> scores,
                                   const std::vector<double>& log_q) {
  constexpr double kStep = 1e-5;
  std::vector<double> gradient(scores.size());
  for (size_t j = 0; j < scores.size(); ++j) {
    if (std::isinf(scores[j])) continue;
    const double at = scores[j];
    scores[j] = at + kStep;
    const double above = Oracle(options, scores, log_q);
    scores[j] = at - kStep;
    gradient[j] = (above - Oracle(options, scores, log_q)) / (2 * kStep);
    scores[j] = at;
  }
  return gradient;
}

std::vector<double> Wide(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

struct Result {
  double loss;
  std::vector<float> gradient;
};

// Every instruction set of this machine in turn. Numbers outside the arrays
// show what is written or read there.
class GroupLossTest : public testing::TestWithParam<int64_t> {
 protected:
  GroupLossTest() { hwy::SetSupportedTargetsForTest(GetParam()); }
  ~GroupLossTest() override { hwy::SetSupportedTargetsForTest(0); }

  static Result Compute(const LossOptions& options,
                        const std::vector<float>& scores,
                        const std::vector<float>& log_q = {}) {
    const size_t n = scores.size() - 1;
    Result result{0, std::vector<float>(n + 2, -7)};
    result.loss = GroupLoss(options).Compute(
        scores.data(), log_q.empty() ? nullptr : log_q.data(), n,
        result.gradient.data());
    EXPECT_EQ(result.gradient.back(), -7);
    result.gradient.pop_back();
    return result;
  }

  static void ExpectAsOracle(const LossOptions& options,
                             const std::vector<float>& scores,
                             const std::vector<float>& log_q = {}) {
    SCOPED_TRACE(testing::Message() << LossKindName(options.kind) << ", "
                                    << scores.size() - 1 << " negatives");
    const Result result = Compute(options, scores, log_q);
    const double loss = Oracle(options, Wide(scores), Wide(log_q));
    EXPECT_NEAR(result.loss, loss, 2e-6 * std::abs(loss));
    const std::vector<double> gradient =
        OracleGradient(options, Wide(scores), Wide(log_q));
    double greatest = 0;
    for (double g : gradient) greatest = std::max(greatest, std::abs(g));
    for (size_t j = 0; j < scores.size(); ++j) {
      // Differences of the oracle lose digits of large losses.
      ASSERT_NEAR(result.gradient[j], gradient[j],
                  2e-6 * greatest + 1e-9 * (1 + std::abs(loss)))
          << j;
    }
  }
};

// Scores that are no closer than 1e-3 to a kink of hinge, warp or ccl.
std::vector<float> RandomScores(size_t n, double spread, uint64_t seed) {
  Random random(seed);
  std::vector<float> scores = {static_cast<float>(spread * random.Normal())};
  while (scores.size() < 1 + n) {
    const auto t = static_cast<float>(spread * random.Normal());
    if (std::abs(1 - scores[0] + t) < 1e-3 || std::abs(t - 1) < 1e-3) continue;
    scores.push_back(t);
  }
  return scores;
}

TEST_P(GroupLossTest, IsWhatTheFormulasSay) {
  for (const LossKind kind : kKinds) {
    for (const size_t n : {0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 33, 600}) {
      ExpectAsOracle(OptionsOf(kind), RandomScores(n, 2, n));
    }
  }
}

TEST_P(GroupLossTest, IsWhatTheFormulasSayOfAWholeCatalog) {
  // Central differences of all 3,706 scores would take a minute.
  for (const LossKind kind : kKinds) {
    const std::vector<float> scores = RandomScores(3705, 3, 1);
    const Result result = Compute(OptionsOf(kind), scores);
    const double loss = Oracle(OptionsOf(kind), Wide(scores), {});
    EXPECT_NEAR(result.loss, loss, 1e-6 * loss) << LossKindName(kind);
  }
  const std::vector<float> scores = RandomScores(3705, 3, 1);
  const Result result = Compute(OptionsOf(LossKind::kSoftmax), scores);
  double total = 0;
  for (float t : scores) total += std::exp(static_cast<double>(t));
  for (size_t j = 1; j < scores.size(); ++j) {
    const double p = std::exp(static_cast<double>(scores[j])) / total;
    ASSERT_NEAR(result.gradient[j], p, 3e-6 * p) << j;
  }
  EXPECT_NEAR(result.gradient[0],
              std::exp(static_cast<double>(scores[0])) / total - 1, 1e-6);
}

TEST_P(GroupLossTest, OptionsAreWhatTheFormulasSay) {
  for (const LossKind kind : kKinds) {
    LossOptions options = OptionsOf(kind);
    options.margin = 0.3;
    options.temperature = 0.2;
    options.negative_weight = 2.5;
    options.calibration = 0.4;
    options.num_items = 23;
    for (const size_t n : {1, 5, 18, 40}) {
      std::vector<float> scores = RandomScores(n, 1, 100 + n);
      for (float& t : scores) t = std::round(t * 100) / 100 + 0.005F;
      ExpectAsOracle(options, scores);
    }
  }
}

TEST_P(GroupLossTest, SoftmaxTakesLogQOffTheScores) {
  LossOptions options = OptionsOf(LossKind::kSoftmax);
  options.temperature = 0.5;
  for (const size_t n : {1, 7, 16, 21}) {
    ExpectAsOracle(options, RandomScores(n, 1, n), RandomScores(n, 2, 200 + n));
  }
}

TEST_P(GroupLossTest, MaskedNegativesAreNone) {
  for (const LossKind kind : kKinds) {
    for (const size_t n : {1, 5, 16, 37}) {
      std::vector<float> scores = RandomScores(n, 2, n);
      std::vector<float> kept = scores;
      for (size_t j = 1; j <= n; j += 3) scores[j] = kept[j] = kMasked;
      kept.erase(std::remove(kept.begin(), kept.end(), kMasked), kept.end());
      const std::vector<float> log_q(n + 1, 1.5F);
      ExpectAsOracle(OptionsOf(kind), scores, log_q);
      const Result result = Compute(OptionsOf(kind), scores);
      EXPECT_NEAR(result.loss, Compute(OptionsOf(kind), kept).loss,
                  1e-6 * std::abs(result.loss));
      for (size_t j = 1; j <= n; j += 3) EXPECT_EQ(result.gradient[j], 0);
    }
  }
}

TEST_P(GroupLossTest, WithoutANegativeThePositiveIsLeft) {
  for (const std::vector<float>& scores :
       {std::vector<float>{0.5F}, {0.5F, kMasked}, {0.5F, kMasked, kMasked}}) {
    for (const LossKind kind : {LossKind::kBpr, LossKind::kHinge,
                                LossKind::kSoftmax, LossKind::kWarp}) {
      const Result result = Compute(OptionsOf(kind), scores);
      EXPECT_EQ(result.loss, 0);
      EXPECT_THAT(result.gradient, Each(0.0F));
    }
    EXPECT_NEAR(Compute(OptionsOf(LossKind::kBce), scores).loss, Softplus(-0.5),
                1e-12);
    EXPECT_EQ(Compute(OptionsOf(LossKind::kSquare), scores).loss, 0.25);
    EXPECT_EQ(Compute(OptionsOf(LossKind::kCcl), scores).loss, 0.5);
    EXPECT_EQ(Compute(OptionsOf(LossKind::kCcl), scores).gradient[0], -1);
  }
}

TEST_P(GroupLossTest, StaysFiniteAndRightAtExtremeScores) {
  for (const LossKind kind : kKinds) {
    for (const float s : {-1e4F, -100.0F, 0.0F, 100.0F, 1e4F}) {
      for (const float t : {-1e4F, -90.0F, 0.25F, 90.0F, 1e4F}) {
        const std::vector<float> scores = {s, t, 0.0F, kMasked, t};
        const Result result = Compute(OptionsOf(kind), scores);
        const double loss = Oracle(OptionsOf(kind), Wide(scores), {});
        EXPECT_NEAR(result.loss, loss, 1e-6 * std::abs(loss) + 1e-37)
            << LossKindName(kind) << " of " << s << ", " << t;
        for (float g : result.gradient) EXPECT_TRUE(std::isfinite(g));
      }
    }
  }
}

TEST_P(GroupLossTest, KeepsTheDigitsOfSmallLosses) {
  const Result bpr = Compute(OptionsOf(LossKind::kBpr), {40, 0});
  EXPECT_NEAR(bpr.loss, std::exp(-40.0), 1e-6 * std::exp(-40.0));
  EXPECT_NEAR(bpr.gradient[1], std::exp(-40.0), 1e-6 * std::exp(-40.0));
  const Result softmax = Compute(OptionsOf(LossKind::kSoftmax), {40, 0});
  EXPECT_NEAR(softmax.loss, std::exp(-40.0), 1e-6 * std::exp(-40.0));
  EXPECT_NEAR(softmax.gradient[0], -std::exp(-40.0), 1e-6 * std::exp(-40.0));
}

TEST_P(GroupLossTest, NanIsNotLost) {
  for (const LossKind kind : kKinds) {
    if (kind == LossKind::kWarp) continue;  // stops at the first that violates
    for (const size_t n : {1, 16, 19}) {
      for (const size_t place : {size_t{0}, size_t{1}, n}) {
        std::vector<float> scores = RandomScores(n, 1, n);
        scores[place] = std::copysign(kNan, place % 2 == 0 ? 1.0F : -1.0F);
        LossOptions options = OptionsOf(kind);
        EXPECT_FALSE(std::isfinite(Compute(options, scores).loss))
            << LossKindName(kind) << " " << n << " " << place;
        options.hard_negatives = 1;
        EXPECT_FALSE(std::isfinite(Compute(options, scores).loss))
            << LossKindName(kind) << " " << n << " " << place;
      }
    }
  }
}

TEST_P(GroupLossTest, HardNegativesAreTheLargest) {
  LossOptions options = OptionsOf(LossKind::kBpr);
  options.hard_negatives = 2;
  const Result result = Compute(options, {0, -1, 3, kMasked, 0.5F, 2});
  LossOptions all = OptionsOf(LossKind::kBpr);
  const Result two = Compute(all, {0, 3, 2});
  EXPECT_EQ(result.loss, two.loss);
  EXPECT_THAT(result.gradient, ElementsAre(two.gradient[0], 0, two.gradient[1],
                                           0, 0, two.gradient[2]));
}

TEST_P(GroupLossTest, HardNegativesOfAnyLossAreTheLargest) {
  for (const LossKind kind : kKinds) {
    if (kind == LossKind::kWarp) continue;
    LossOptions options = OptionsOf(kind);
    const std::vector<float> scores = RandomScores(50, 1, 3);
    const std::vector<float> log_q = RandomScores(50, 1, 4);
    std::vector<std::pair<float, size_t>> order;
    for (size_t j = 1; j <= 50; ++j) order.emplace_back(-scores[j], j);
    std::sort(order.begin(), order.end());
    std::vector<float> hardest = {scores[0]};
    std::vector<float> hardest_q = {log_q[0]};
    for (size_t j = 0; j < 10; ++j) {
      hardest.push_back(-order[j].first);
      hardest_q.push_back(log_q[order[j].second]);
    }
    const Result expected = Compute(options, hardest, hardest_q);
    options.hard_negatives = 10;
    const Result result = Compute(options, scores, log_q);
    EXPECT_NEAR(result.loss, expected.loss, 1e-6 * std::abs(expected.loss));
    for (size_t j = 0; j < 50; ++j) {
      EXPECT_EQ(result.gradient[order[j].second],
                j < 10 ? expected.gradient[1 + j] : 0)
          << LossKindName(kind);
    }
  }
}

TEST_P(GroupLossTest, OfEqualHardNegativesTheFirstCount) {
  LossOptions options = OptionsOf(LossKind::kHinge);
  options.hard_negatives = 3;
  EXPECT_THAT(Compute(options, {0, 1, -0.0F, 0.0F, 0, 1}).gradient,
              ElementsAre(-1, 1 / 3.0F, 1 / 3.0F, 0, 0, 1 / 3.0F));
}

TEST_P(GroupLossTest, MoreHardNegativesThanThereAreAreAll) {
  LossOptions options = OptionsOf(LossKind::kBce);
  const std::vector<float> scores = {0.5F, 1, kMasked, -2, 0};
  const Result all = Compute(options, scores);
  for (const uint32_t hard_negatives : {3, 4, 5, 100}) {
    options.hard_negatives = hard_negatives;
    const Result result = Compute(options, scores);
    EXPECT_NEAR(result.loss, all.loss, 1e-7);
    for (size_t j = 0; j < scores.size(); ++j) {
      EXPECT_NEAR(result.gradient[j], all.gradient[j], 1e-7);
    }
  }
}

TEST_P(GroupLossTest, WarpTakesTheFirstDrawThatViolates) {
  LossOptions options = OptionsOf(LossKind::kWarp);
  options.num_items = 11;
  // The third draw that is not masked: Phi(floor(10 / 3)) = 1 + 1/2 + 1/3.
  const double phi = 11 / 6.0;
  const Result result =
      Compute(options, {2, 0, kMasked, 0.5F, 1.5F, 100, kMasked});
  EXPECT_NEAR(result.loss, phi * 0.5, 1e-12);
  EXPECT_THAT(result.gradient, ElementsAre(static_cast<float>(-phi), 0, 0, 0,
                                           static_cast<float>(phi), 0, 0));
}

TEST_P(GroupLossTest, WarpPassesOverAPairThatNoDrawViolates) {
  const Result result =
      Compute(OptionsOf(LossKind::kWarp), {2, 0, 1, kMasked, -1});
  EXPECT_EQ(result.loss, 0);
  EXPECT_THAT(result.gradient, Each(0.0F));
}

TEST_P(GroupLossTest, WarpKnowsHarmonicNumbersOfAnySize) {
  for (const uint64_t rank : {1, 2, 19, 20, 21, 100, 100000}) {
    LossOptions options = OptionsOf(LossKind::kWarp);
    options.num_items = rank + 1;
    double phi = 0;
    for (uint64_t i = rank; i > 0; --i) phi += 1 / static_cast<double>(i);
    EXPECT_NEAR(Compute(options, {0, 0}).loss, phi, 1e-12 * phi) << rank;
  }
}

TEST_P(GroupLossTest, GivesTheSameBitsEachTime) {
  for (const LossKind kind : kKinds) {
    const std::vector<float> scores = RandomScores(1681, 1, 5);
    const Result first = Compute(OptionsOf(kind), scores);
    const Result second = Compute(OptionsOf(kind), scores);
    EXPECT_EQ(first.loss, second.loss);
    EXPECT_EQ(first.gradient, second.gradient);
  }
}

std::string TargetName(const testing::TestParamInfo<int64_t>& target) {
  return hwy::TargetName(target.param);
}

// All but those that group_loss.h's loops are not compiled for.
std::vector<int64_t> Targets() {
  std::vector<int64_t> targets;
  for (const int64_t target :
       {HWY_SSSE3, HWY_SSE4, HWY_AVX2, HWY_AVX3, HWY_NEON}) {
    if ((hwy::SupportedTargets() & target) != 0) targets.push_back(target);
  }
  return targets;
}

INSTANTIATE_TEST_SUITE_P(Targets, GroupLossTest, testing::ValuesIn(Targets()),
                         TargetName);

TEST(LossOptionsTest, LossesHaveNames) {
  for (const LossKind kind : kKinds) {
    NEUMF_ASSERT_OK_AND_ASSIGN(const LossKind parsed,
                               ParseLossKind(LossKindName(kind)));
    EXPECT_EQ(parsed, kind);
  }
  EXPECT_THAT(ParseLossKind("bprr").status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("there is no loss 'bprr'; there are bpr, "
                                 "hinge, bce, gbce, square, softmax, warp")));
}

void ExpectRefused(const LossOptions& options, const char* message) {
  EXPECT_THAT(ValidateLossOptions(options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
}

TEST(LossOptionsTest, RefusesWhatNoLossCanBeMadeOf) {
  EXPECT_TRUE(ValidateLossOptions(LossOptions()).ok());
  LossOptions options;
  options.temperature = 0;
  ExpectRefused(options, "the temperature is 0");
  options = LossOptions();
  options.margin = kNan;
  ExpectRefused(options, "the margin is nan");
  options = LossOptions();
  options.negative_weight = -1;
  ExpectRefused(options, "the weight of negatives is -1");
  options = LossOptions();
  options.calibration = 1.5;
  ExpectRefused(options, "the calibration is 1.5");
  options = LossOptions();
  options.kind = LossKind::kGbce;
  ExpectRefused(options, "gbce has to know the number of items");
  options = OptionsOf(LossKind::kWarp);
  options.hard_negatives = 2;
  ExpectRefused(options, "warp goes by the order of the draws");
}

}  // namespace
}  // namespace neumf
