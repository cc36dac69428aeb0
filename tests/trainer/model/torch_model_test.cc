#include "trainer/model/torch_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "tests/trainer/model/model_zoo.h"
#include "trainer/step/catalog_loss.h"

namespace neumf {
namespace {

// |row|^2 over the tables of a side, each row as often as it weighs.
double SquaredRows(const Parameters& parameters, const Bag& bag,
                   const std::vector<const ParameterBlock*>& tables,
                   const ParameterBlock& bias) {
  double sum = 0;
  const auto add = [&](const ParameterBlock& table, size_t n) {
    for (const float value : parameters.row(table, bag.rows[n])) {
      sum += double{bag.weights[n]} * double{value} * double{value};
    }
  };
  for (size_t n = 0; n < bag.rows.size(); ++n) {
    for (const ParameterBlock* table : tables) {
      if (!table->empty()) add(*table, n);
    }
    if (n < bag.num_bias_rows && !bias.empty()) add(bias, n);
  }
  return sum;
}

double UserSquares(const Parameters& parameters, const Bag& bag) {
  const ParameterLayout& layout = parameters.layout();
  return SquaredRows(parameters, bag, {&layout.user_gmf, &layout.user_tower},
                     layout.user_bias);
}

double ItemSquares(const ZooModel& model, uint32_t item) {
  const Parameters& parameters = model.parameters();
  const ParameterLayout& layout = parameters.layout();
  return SquaredRows(parameters, model.item_bags().bag(item),
                     {&layout.item_gmf, &layout.item_tower}, layout.item_bias);
}

// Loss and penalty by their definitions, from scores by theirs.
struct Objective {
  double loss = 0;
  double penalty = 0;

  double total() const { return loss + penalty; }
};

void AddPairs(const ZooModel& model, const Batch& batch,
              const StepOptions& options, uint32_t group, const float* scores,
              Objective* objective) {
  const GroupLoss loss(options.loss);
  const uint32_t size = batch.group_size();
  std::vector<float> gradient(size), log_q;
  for (uint32_t n = 0; n < size && !options.log_q.empty(); ++n) {
    log_q.push_back(options.log_q[batch.items[group * size + n]]);
  }
  objective->loss +=
      loss.Compute(scores, log_q.empty() ? nullptr : log_q.data(), size - 1,
                   gradient.data());
  objective->penalty +=
      options.l2 / 2 * UserSquares(model.parameters(), batch.user_bag(group));
  for (uint32_t n = 0; n < size; ++n) {
    const double l2 = n == 0 ? options.l2 : options.l2_negative;
    objective->penalty +=
        l2 / 2 * ItemSquares(model, batch.items[group * size + n]);
  }
}

void AddCatalog(const ZooModel& model, const Batch& batch,
                const StepOptions& options, uint32_t group, float* scores,
                Objective* objective) {
  const CatalogLoss loss(options.loss);
  const size_t count = batch.candidates.size();
  for (uint32_t m = batch.masked_offsets[group];
       m < batch.masked_offsets[group + 1]; ++m) {
    scores[batch.masked[m]] = -std::numeric_limits<float>::infinity();
  }
  const uint32_t begin = batch.target_offsets[group];
  const uint32_t end = batch.target_offsets[group + 1];
  std::vector<float> gradient(count);
  objective->loss += loss.Compute(
      scores, count,
      absl::MakeConstSpan(batch.targets).subspan(begin, end - begin),
      absl::MakeConstSpan(batch.target_weights).subspan(begin, end - begin),
      gradient.data());
  for (uint32_t t = begin; t < end; ++t) {
    const uint32_t item = batch.candidates[batch.targets[t]];
    objective->penalty +=
        options.l2 / 2 * double{batch.target_weights[t]} *
        (UserSquares(model.parameters(), batch.user_bag(group)) +
         ItemSquares(model, item));
  }
}

Objective ObjectiveByDefinition(const ZooModel& model, const Batch& batch,
                                const StepOptions& options) {
  const std::vector<double> exact = model.Scores(batch);
  std::vector<float> scores(exact.begin(), exact.end());
  const size_t stride = scores.size() / batch.num_groups;
  Objective objective;
  for (uint32_t g = 0; g < batch.num_groups; ++g) {
    if (batch.is_pairs()) {
      AddPairs(model, batch, options, g, &scores[g * stride], &objective);
    } else {
      AddCatalog(model, batch, options, g, &scores[g * stride], &objective);
    }
  }
  if (!options.sum_over_groups) {
    objective.loss /= batch.num_groups;
    objective.penalty /= batch.num_groups;
  }
  return objective;
}

std::vector<float> CopyOf(const Gradient& gradient) {
  return std::vector<float>(gradient.values().begin(), gradient.values().end());
}

// Tolerates what float32 scores leave of a difference of losses. The step is
// small so that hardly any ReLU changes its side on the way.
void ExpectSlopes(ZooModel& model, const Batch& batch,
                  const StepOptions& options,
                  absl::Span<const float> gradient) {
  constexpr float kStep = 5e-4F;
  absl::Span<float> values = model.parameters().values();
  for (size_t i = 0; i < values.size(); ++i) {
    const float middle = values[i];
    values[i] = middle + kStep;
    const double up = double{values[i]};
    const double above = ObjectiveByDefinition(model, batch, options).total();
    values[i] = middle - kStep;
    const double below = ObjectiveByDefinition(model, batch, options).total();
    const double slope = (above - below) / (up - double{values[i]});
    values[i] = middle;
    ASSERT_NEAR(gradient[i], slope, 3e-3 * std::max(1.0, std::abs(slope)))
        << "parameter " << i;
  }
}

StepOptions PairOptions(LossKind kind) {
  StepOptions options;
  options.loss.kind = kind;
  options.loss.num_items = 37;
  options.l2 = 0.1;
  options.l2_negative = 0.04;
  return options;
}

class TorchModelTest : public testing::TestWithParam<ModelCase> {
 protected:
  ZooModel model_ = ZooModel(GetParam().spec, 3);
  TorchModel torch_ = TorchModel(&model_.parameters(), &model_.item_bags());
  Gradient gradient_ = Gradient(model_.parameters().layout());
};

TEST_P(TorchModelTest, Float64ScoresAreThoseOfTheDefinition) {
  for (uint32_t user = 0; user < model_.spec().num_users; ++user) {
    const OwnedBag bag(model_.user_bags(), user);
    const std::vector<double> scores = torch_.ScoreAllItems(bag.bag());
    ASSERT_EQ(scores.size(), model_.spec().num_items);
    for (uint32_t item = 0; item < scores.size(); ++item) {
      ASSERT_NEAR(scores[item], model_.Score(bag.bag(), item, nullptr), 1e-12);
    }
  }
}

TEST_P(TorchModelTest, BatchScoresAreThoseOfTheDefinition) {
  for (const Batch& batch :
       {model_.MakePairs(7, 4, 1), model_.MakePairs(1, 0, 2),
        model_.MakeCatalog(6, 3)}) {
    std::vector<float> scores;
    torch_.Score(batch, &scores);
    const std::vector<double> expected = model_.Scores(batch);
    ASSERT_EQ(scores.size(), expected.size());
    for (size_t n = 0; n < scores.size(); ++n) {
      ASSERT_NEAR(scores[n], expected[n],
                  1e-5 * std::max(1.0, std::abs(expected[n])));
    }
  }
}

TEST_P(TorchModelTest, GradientOfPairsIsTheSlopeOfLossAndPenalty) {
  const Batch batch = model_.MakePairs(5, 3, 4);
  const StepOptions options = PairOptions(LossKind::kBpr);
  const double loss = torch_.ComputeGradient(batch, options, &gradient_);
  EXPECT_NEAR(loss, ObjectiveByDefinition(model_, batch, options).loss, 1e-5);
  ExpectSlopes(model_, batch, options, gradient_.values());
}

TEST_P(TorchModelTest, GradientOverACatalogIsTheSlopeOfLossAndPenalty) {
  const Batch batch = model_.MakeCatalog(4, 5);
  const StepOptions options = PairOptions(LossKind::kSoftmax);
  const double loss = torch_.ComputeGradient(batch, options, &gradient_);
  EXPECT_NEAR(loss, ObjectiveByDefinition(model_, batch, options).loss, 1e-4);
  ExpectSlopes(model_, batch, options, gradient_.values());
}

TEST_P(TorchModelTest, TouchedRowsAreThoseOfTheBags) {
  const Batch batch = model_.MakePairs(3, 2, 6);
  torch_.ComputeGradient(batch, PairOptions(LossKind::kBpr), &gradient_);
  std::set<uint32_t> users(batch.bag_rows.begin(), batch.bag_rows.end());
  std::set<uint32_t> user_biases;
  for (uint32_t g = 0; g < batch.num_groups; ++g) {
    const Bag bag = batch.user_bag(g);
    user_biases.insert(bag.rows.begin(), bag.rows.begin() + bag.num_bias_rows);
  }
  std::set<uint32_t> items;
  for (const uint32_t item : batch.items) {
    const Bag bag = model_.item_bags().bag(item);
    items.insert(bag.rows.begin(), bag.rows.end());
  }
  for (size_t t = 0; t < gradient_.num_tables(); ++t) {
    const ParameterBlock& table = gradient_.table(t);
    const std::set<uint32_t> touched(gradient_.touched(t).begin(),
                                     gradient_.touched(t).end());
    EXPECT_EQ(touched, table.name == "user.bias"   ? user_biases
                       : table.name.front() == 'u' ? users
                                                   : items)
        << table.name;
  }
}

TEST_P(TorchModelTest, AGradientForgetsTheOneBefore) {
  const Batch batch = model_.MakePairs(3, 2, 7);
  const StepOptions options = PairOptions(LossKind::kBpr);
  torch_.ComputeGradient(batch, options, &gradient_);
  const std::vector<float> first = CopyOf(gradient_);
  torch_.ComputeGradient(model_.MakePairs(5, 2, 8), options, &gradient_);
  torch_.ComputeGradient(batch, options, &gradient_);
  EXPECT_EQ(CopyOf(gradient_), first);
}

INSTANTIATE_TEST_SUITE_P(AllModels, TorchModelTest,
                         testing::ValuesIn(ModelZoo()),
                         [](const auto& param) { return param.param.name; });

// What does not depend on the model.
class TorchStepTest : public testing::Test {
 protected:
  std::vector<float> GradientOf(const Batch& batch,
                                const StepOptions& options) {
    torch_.ComputeGradient(batch, options, &gradient_);
    return CopyOf(gradient_);
  }

  ZooModel model_ = ZooModel(FindInZoo("NeuMfSigmoidWithHistory"), 9);
  TorchModel torch_ = TorchModel(&model_.parameters(), &model_.item_bags());
  Gradient gradient_ = Gradient(model_.parameters().layout());
};

TEST_F(TorchStepTest, SmoothLossesOfPairs) {
  const Batch batch = model_.MakePairs(5, 3, 4);
  for (const LossKind kind : {LossKind::kBce, LossKind::kGbce,
                              LossKind::kSquare, LossKind::kSoftmax}) {
    const StepOptions options = PairOptions(kind);
    ExpectSlopes(model_, batch, options, GradientOf(batch, options));
  }
}

TEST_F(TorchStepTest, LossesOverACatalog) {
  const Batch batch = model_.MakeCatalog(3, 4);
  for (const LossKind kind : {LossKind::kBce, LossKind::kSquare}) {
    const StepOptions options = PairOptions(kind);
    ExpectSlopes(model_, batch, options, GradientOf(batch, options));
  }
}

TEST_F(TorchStepTest, LogQIsTakenOffTheScores) {
  std::vector<float> log_q;
  for (int item = 0; item < 37; ++item) {
    log_q.push_back(0.1F * static_cast<float>(item) - 2);
  }
  const Batch batch = model_.MakePairs(5, 6, 4);
  StepOptions options = PairOptions(LossKind::kSoftmax);
  const std::vector<float> without = GradientOf(batch, options);
  options.log_q = log_q;
  const std::vector<float> with = GradientOf(batch, options);
  EXPECT_NE(with, without);
  ExpectSlopes(model_, batch, options, with);
}

TEST_F(TorchStepTest, TheSumIsTheMeanTimesTheGroups) {
  const Batch batch = model_.MakePairs(5, 3, 4);
  StepOptions options = PairOptions(LossKind::kBpr);
  const double mean = torch_.ComputeGradient(batch, options, &gradient_);
  const std::vector<float> of_mean = CopyOf(gradient_);
  options.sum_over_groups = true;
  const double sum = torch_.ComputeGradient(batch, options, &gradient_);
  EXPECT_NEAR(sum, 5 * mean, 1e-9);
  for (size_t i = 0; i < of_mean.size(); ++i) {
    ASSERT_NEAR(gradient_.values()[i], 5 * of_mean[i], 1e-5);
  }
}

TEST_F(TorchStepTest, DropoutFollowsItsSeed) {
  Batch batch = model_.MakePairs(5, 3, 4);
  StepOptions options = PairOptions(LossKind::kBpr);
  const std::vector<float> without = GradientOf(batch, options);
  options.dropout = 0.5;
  batch.dropout_seed = 1;
  const std::vector<float> first = GradientOf(batch, options);
  EXPECT_NE(first, without);
  EXPECT_EQ(GradientOf(batch, options), first);
  batch.dropout_seed = 2;
  EXPECT_NE(GradientOf(batch, options), first);
}

// With a head of zeros but for one hidden unit, the gradient by it shows
// whether the unit was dropped, and that kept ones grew.
TEST_F(TorchStepTest, DropoutKeepsTheMeanOfAHiddenValue) {
  Batch batch = model_.MakePairs(1, 1, 4);
  StepOptions options;
  options.loss.kind = LossKind::kSquare;
  Parameters& parameters = model_.parameters();
  const ParameterLayout& layout = parameters.layout();
  // All hidden values are sigmoid(0) whatever comes in.
  for (const ParameterLayout::Dense& layer : layout.layers) {
    for (float& weight : parameters.block(layer.weight)) weight = 0;
    for (float& bias : parameters.block(layer.bias)) bias = 0;
  }
  for (float& weight : parameters.block(layout.tower_head)) weight = 0;
  for (float& weight : parameters.block(layout.gmf_head)) weight = 0;
  for (float& bias : parameters.block(layout.global_bias)) bias = 0;
  // Scores are 0: the slope by a head weight is -(z of the positive).
  options.dropout = 0.25;
  constexpr int kDraws = 1000;
  double sum = 0;
  for (int draw = 0; draw < kDraws; ++draw) {
    batch.dropout_seed = static_cast<uint64_t>(draw);
    torch_.ComputeGradient(batch, options, &gradient_);
    const float slope = *gradient_.block(layout.tower_head);
    ASSERT_TRUE(slope == 0 || std::abs(slope + 0.5F / 0.75F) < 1e-6F) << slope;
    sum -= double{slope};
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 0.04);
}

TEST_F(TorchStepTest, DropoutIsForTrainingAlone) {
  const Batch batch = model_.MakePairs(5, 3, 4);
  std::vector<float> before, after;
  torch_.Score(batch, &before);
  StepOptions options = PairOptions(LossKind::kBpr);
  options.dropout = 0.5;
  GradientOf(batch, options);
  torch_.Score(batch, &after);
  EXPECT_EQ(before, after);
}

}  // namespace
}  // namespace neumf
