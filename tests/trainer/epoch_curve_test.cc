#include "trainer/epoch_curve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

ModelSpec TinySpec() {
  ModelSpec spec;
  spec.num_users = 1;
  spec.num_items = 1;
  spec.factors = 1;
  return spec;
}

// Parameters that say which epoch they are of.
Parameters OfEpoch(uint32_t epoch) {
  Parameters parameters(TinySpec());
  parameters.values()[0] = static_cast<float>(epoch);
  return parameters;
}

// Measures by tables of values, one an epoch.
class EpochCurveTest : public testing::Test {
 protected:
  // Adds epoch after epoch until there is none left, or the curve wants no
  // more. Returns how many it took.
  uint32_t Add(EpochCurve& curve) {
    for (uint32_t epoch = 0; epoch < auc_.size(); ++epoch) {
      const auto goes_on = curve.Add(epoch, OfEpoch(epoch));
      NEUMF_EXPECT_OK(goes_on);
      if (!goes_on.ok() || !*goes_on) return epoch + 1;
    }
    return static_cast<uint32_t>(auc_.size());
  }

  absl::StatusOr<Evaluation> Evaluate(const Parameters& parameters) {
    const auto epoch = static_cast<size_t>(parameters.values()[0]);
    measured_.push_back(static_cast<uint32_t>(epoch));
    Evaluation evaluation;
    evaluation.num_users = 1;
    evaluation.metrics.resize(2);
    evaluation.metrics[0].name = "hit@50";
    evaluation.metrics[0].mean = hits_[epoch];
    evaluation.metrics[1].name = "auc";
    evaluation.metrics[1].mean = auc_[epoch];
    return evaluation;
  }

  static CurveOptions Options(uint32_t every, uint32_t patience) {
    CurveOptions options;
    options.every = every;
    options.patience = patience;
    return options;
  }

  // The epoch of the best parameters.
  static uint32_t BestOf(EpochCurve& curve) {
    return static_cast<uint32_t>(curve.TakeBest()->values()[0]);
  }

  std::vector<double> hits_ = {.0, .1, .3, .3, .2, .2, .5, .1, .1, .1};
  std::vector<double> auc_ = {.5, .9, .8, .7, .6, .5, .4, .3, .2, .1};
  std::vector<uint32_t> measured_;
  const std::function<absl::StatusOr<Evaluation>(const Parameters&)> measure_ =
      [this](const Parameters& parameters) { return Evaluate(parameters); };
};

TEST_F(EpochCurveTest, MeasuresEverySoManyEpochsFromTheFirst) {
  EpochCurve curve(Options(3, 0), measure_);
  EXPECT_EQ(Add(curve), 10U);
  EXPECT_THAT(measured_, ElementsAre(0, 3, 6, 9));
  ASSERT_EQ(curve.points().size(), 4U);
  EXPECT_EQ(curve.points()[1],
            (nlohmann::json{{"epoch", 3}, {"hit@50", .3}, {"auc", .7}}));
  EXPECT_FALSE(curve.has_best());
}

TEST_F(EpochCurveTest, MeasuresTheLastEpochWhateverItsNumber) {
  CurveOptions options = Options(4, 2);
  options.last = 9;
  EpochCurve curve(options, measure_);
  EXPECT_EQ(Add(curve), 10U);
  EXPECT_THAT(measured_, ElementsAre(0, 4, 8, 9));
  EXPECT_EQ(curve.best_epoch(), 4U);
}

TEST_F(EpochCurveTest, OneEvaluationIsEnoughToChoose) {
  CurveOptions options = Options(100, 1);
  options.last = 9;
  EpochCurve curve(options, measure_);
  EXPECT_EQ(Add(curve), 10U);
  EXPECT_EQ(BestOf(curve), 9U);
}

TEST_F(EpochCurveTest, MeasuresNothingUnlessAsked) {
  EpochCurve curve(Options(0, 0), measure_);
  EXPECT_EQ(Add(curve), 10U);
  EXPECT_THAT(measured_, ElementsAre());
  EXPECT_TRUE(curve.points().empty());
}

TEST_F(EpochCurveTest, PatienceKeepsTheFirstOfTheBest) {
  EpochCurve curve(Options(1, 3), measure_);
  EXPECT_EQ(Add(curve), 6U);  // 2 is best; 3, 4 and 5 are no better
  EXPECT_EQ(curve.best_epoch(), 2U);
  EXPECT_EQ(BestOf(curve), 2U);
  EXPECT_TRUE(curve.has_best());
}

TEST_F(EpochCurveTest, MorePatienceSeesWhatComesLater) {
  EpochCurve curve(Options(1, 4), measure_);
  EXPECT_EQ(Add(curve), 10U);
  EXPECT_EQ(curve.best_epoch(), 6U);
  EXPECT_EQ(BestOf(curve), 6U);
}

TEST_F(EpochCurveTest, PatienceCountsEvaluationsNotEpochs) {
  EpochCurve curve(Options(2, 2), measure_);
  EXPECT_EQ(Add(curve), 10U);
  EXPECT_THAT(measured_, ElementsAre(0, 2, 4, 6, 8));
  EXPECT_EQ(curve.best_epoch(), 6U);
}

TEST_F(EpochCurveTest, GoesByTheMetricThatIsAskedFor) {
  CurveOptions options = Options(1, 2);
  options.select_by = "auc";
  EpochCurve curve(options, measure_);
  EXPECT_EQ(Add(curve), 4U);
  EXPECT_EQ(curve.best_epoch(), 1U);
}

// What is trained may be worse than what it began with, but that is no model.
TEST_F(EpochCurveTest, TheStartIsNeverTheBest) {
  auc_[0] = 1;
  CurveOptions options = Options(1, 2);
  options.select_by = "auc";
  EpochCurve curve(options, measure_);
  EXPECT_TRUE(*curve.Add(0, OfEpoch(0)));
  EXPECT_FALSE(curve.has_best());
  EXPECT_EQ(curve.points().size(), 1U);
  EXPECT_TRUE(*curve.Add(1, OfEpoch(1)));
  EXPECT_EQ(BestOf(curve), 1U);
}

TEST_F(EpochCurveTest, PassesOnWhatCannotBeMeasured) {
  const auto fail = [](const Parameters&) -> absl::StatusOr<Evaluation> {
    return absl::FailedPreconditionError("no number");
  };
  EpochCurve curve(Options(1, 0), fail);
  EXPECT_THAT(curve.Add(0, OfEpoch(0)),
              StatusIs(absl::StatusCode::kFailedPrecondition, "no number"));
}

TEST(CheckMetricNameTest, NamesTheMetricsOfTheProtocol) {
  NEUMF_EXPECT_OK(CheckMetricName(Protocol::kD2l, false, "auc"));
  NEUMF_EXPECT_OK(CheckMetricName(Protocol::kNcf, false, "ndcg@10"));
  NEUMF_EXPECT_OK(CheckMetricName(Protocol::kFull, false, "map@1000"));
  NEUMF_EXPECT_OK(CheckMetricName(Protocol::kFull, true, "map"));
  EXPECT_FALSE(CheckMetricName(Protocol::kFull, true, "map@1000").ok());
  EXPECT_THAT(CheckMetricName(Protocol::kD2l, false, "ndcg@10"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("the protocol d2l has no metric 'ndcg@10'; it "
                                 "has hit@50, auc")));
}

}  // namespace
}  // namespace neumf
