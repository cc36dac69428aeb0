#include "model/score_bound.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <vector>

#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"

namespace neumf {
namespace {

using testing::HasSubstr;

double Activate(Activation activation, double x) {
  switch (activation) {
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kSigmoid:
      break;
  }
  return 1 / (1 + std::exp(-x));
}

// The scoring function as its definition says it, in float64.
double Score(const TinyModel& tiny, uint64_t user, uint64_t item) {
  const ServingModel& model = tiny.model;
  const ScoreNetwork& network = model.network;
  double score = network.head_bias;
  if (!tiny.items.bias.empty()) score += tiny.items.bias[item];
  for (uint32_t i = 0; i < model.shape.gmf_width; ++i) {
    score += double{model.users.gmf.row(user)[i]} * tiny.items.gmf.row(item)[i];
  }
  std::vector<double> x;
  for (uint32_t i = 0; i < model.shape.tower_width(); ++i) {
    x.push_back(double{model.users.tower.row(user)[i]} +
                tiny.items.tower.row(item)[i]);
  }
  for (const DenseLayer& layer : network.layers) {
    std::vector<double> y(layer.bias.begin(), layer.bias.end());
    for (uint32_t out = 0; out < layer.out; ++out) {
      for (uint32_t in = 0; in < layer.in; ++in) {
        y[out] += layer.weight[out * layer.in + in] *
                  Activate(network.activation, x[in]);
      }
    }
    x = y;
  }
  for (size_t i = 0; i < x.size(); ++i) {
    score += network.head_weight[i] * Activate(network.activation, x[i]);
  }
  return score;
}

double LargestScore(const TinyModel& tiny) {
  double largest = 0;
  for (uint64_t user = 0; user < tiny.model.shape.num_users; ++user) {
    for (uint64_t item = 0; item < tiny.model.shape.num_items; ++item) {
      largest = std::max(largest, std::fabs(Score(tiny, user, item)));
    }
  }
  return largest;
}

ScoreBound BoundOf(const TinyModel& tiny) {
  ScoreBound bound(tiny.model.shape);
  bound.AddUsers(tiny.model.users);
  const absl::Status status =
      StreamItemTables(tiny.items, [&bound](const ItemRows& rows) {
        bound.AddItems(rows);
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok());
  return bound;
}

absl::Status Check(const TinyModel& tiny) {
  return BoundOf(tiny).Check(tiny.model.network);
}

void SetAll(AlignedMatrix& matrix, float value) {
  std::fill(matrix.data(), matrix.data() + matrix.size(), value);
}

void SetAll(std::vector<float>& values, float value) {
  std::fill(values.begin(), values.end(), value);
}

void SetAllUsersAndItems(TinyModel& tiny, float value) {
  SetAll(tiny.model.users.gmf, value);
  SetAll(tiny.model.users.tower, value);
  SetAll(tiny.items.gmf, value);
  SetAll(tiny.items.tower, value);
}

class ScoreBoundTest : public testing::TestWithParam<Activation> {
 protected:
  static TinyModel Make(uint64_t seed, std::vector<uint32_t> tower_widths) {
    TinyModelOptions options;
    options.activation = GetParam();
    options.seed = seed;
    options.tower_widths = std::move(tower_widths);
    return MakeTinyModel(options);
  }
};

TEST_P(ScoreBoundTest, LiesAboveEveryScore) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    for (const auto& widths :
         std::vector<std::vector<uint32_t>>{{}, {1}, {8}, {8, 4}, {5, 7, 3}}) {
      const TinyModel tiny = Make(seed, widths);
      const double bound = BoundOf(tiny).Bound(tiny.model.network);
      EXPECT_GE(bound, LargestScore(tiny)) << seed;
      NEUMF_EXPECT_OK(Check(tiny));
    }
  }
}

// Where all signs agree nothing cancels: the bound is the score itself, so it
// has no room to be too low.
TEST_P(ScoreBoundTest, IsReachedInTheCorner) {
  TinyModel tiny = Make(1, {8, 4});
  SetAllUsersAndItems(tiny, 30);
  for (DenseLayer& layer : tiny.model.network.layers) {
    SetAll(layer.weight, 0.5F);
    SetAll(layer.bias, 40);
  }
  SetAll(tiny.model.network.head_weight, 2);
  SetAll(tiny.items.bias, 1);
  tiny.model.network.head_bias = 1;
  const double bound = BoundOf(tiny).Bound(tiny.model.network);
  EXPECT_NEAR(bound / LargestScore(tiny), 1, 1e-9);
}

TEST_P(ScoreBoundTest, LooksAtMagnitudesNotSigns) {
  TinyModel tiny = Make(1, {8, 4});
  const double before = BoundOf(tiny).Bound(tiny.model.network);
  for (AlignedMatrix* table :
       {&tiny.model.users.gmf, &tiny.model.users.tower, &tiny.items.gmf}) {
    for (size_t i = 0; i < table->size(); ++i) table->data()[i] *= -1;
  }
  for (float& weight : tiny.model.network.head_weight) weight *= -1;
  EXPECT_EQ(BoundOf(tiny).Bound(tiny.model.network), before);
}

TEST_P(ScoreBoundTest, RefusesLayersThatMayOverflow) {
  TinyModel tiny = Make(1, {8, 4});
  tiny.model.network.layers[0].weight[0] = FLT_MAX;
  tiny.model.network.layers[0].bias[0] = -FLT_MAX;
  EXPECT_THAT(Check(tiny), StatusIs(absl::StatusCode::kInvalidArgument,
                                    HasSubstr("tower layer 2 may reach")));
}

TEST_P(ScoreBoundTest, RefusesFirstLayersThatMayOverflow) {
  TinyModel tiny = Make(1, {8});
  tiny.model.users.tower.row(2)[5] = 0.9F * FLT_MAX;
  tiny.items.tower.row(7)[5] = -0.9F * FLT_MAX;
  EXPECT_THAT(Check(tiny), StatusIs(absl::StatusCode::kInvalidArgument,
                                    HasSubstr("tower layer 1 may reach")));
}

INSTANTIATE_TEST_SUITE_P(Activations, ScoreBoundTest,
                         testing::Values(Activation::kRelu, Activation::kTanh,
                                         Activation::kSigmoid));

TEST(ScoreBoundOverflowTest, RefusesDotProductsThatMayOverflow) {
  TinyModel tiny = MakeTinyModel(TinyModelOptions());
  tiny.model.users.gmf.row(6)[3] = -1e20F;
  NEUMF_EXPECT_OK(Check(tiny));
  tiny.items.gmf.row(32)[3] = 1e20F;
  EXPECT_THAT(Check(tiny), StatusIs(absl::StatusCode::kInvalidArgument,
                                    HasSubstr("scores may reach")));
}

TEST(ScoreBoundOverflowTest, RefusesBiasesThatMayOverflowTogether) {
  TinyModel tiny = MakeTinyModel(TinyModelOptions());
  tiny.items.bias[32] = -0.6F * FLT_MAX;
  tiny.model.network.head_bias = -0.6F * FLT_MAX;
  EXPECT_THAT(Check(tiny), StatusIs(absl::StatusCode::kInvalidArgument));
}

// Float64 overflows too in a deep tower of huge weights, and its infinity times
// a weight of 0 is NaN.
TEST(ScoreBoundOverflowTest, RefusesWhatOverflowsEvenTheBound) {
  TinyModelOptions options;
  options.tower_widths.assign(16, 4);
  TinyModel tiny = MakeTinyModel(options);
  SetAllUsersAndItems(tiny, 1e30F);
  for (DenseLayer& layer : tiny.model.network.layers) {
    SetAll(layer.weight, FLT_MAX);
  }
  SetAll(tiny.model.network.head_weight, 0);
  EXPECT_FALSE(std::isnan(BoundOf(tiny).Bound(tiny.model.network)));
  EXPECT_THAT(Check(tiny), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(ScoreBoundOverflowTest, ForgetsNoPartOfWhatItWasGiven) {
  const TinyModel tiny = MakeTinyModel(TinyModelOptions());
  const double whole = BoundOf(tiny).Bound(tiny.model.network);
  ScoreBound in_rows(tiny.model.shape);
  in_rows.AddUsers(tiny.model.users);
  NEUMF_ASSERT_OK(StreamItemTables(tiny.items, [&](const ItemRows& rows) {
    const uint64_t width = rows.table == ItemTable::kTower ? 8
                           : rows.table == ItemTable::kGmf ? 4
                                                           : 1;
    for (uint64_t row = 0; row < rows.num_rows; ++row) {
      ItemRows one = rows;
      one.first_row = row;
      one.num_rows = 1;
      one.values = rows.values + row * width;
      in_rows.AddItems(one);
    }
    return absl::OkStatus();
  }));
  EXPECT_EQ(in_rows.Bound(tiny.model.network), whole);
}

}  // namespace
}  // namespace neumf
