#include "trainer/pretrained.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/support/status_matchers.h"
#include "tests/trainer/model/model_zoo.h"

namespace neumf {
namespace {

using absl::StatusCode;
using testing::AllOf;
using testing::HasSubstr;

double ScoreOf(const ZooModel& model, uint32_t user, uint32_t item) {
  const OwnedBag bag(model.user_bags(), user);
  return model.Score(bag.bag(), item, nullptr);
}

// `expected(user, item)` is the score of every pair of `model`.
template <typename Expected>
void ExpectScores(const ZooModel& model, Expected expected) {
  for (uint32_t user = 0; user < model.spec().num_users; ++user) {
    for (uint32_t item = 0; item < model.spec().num_items; ++item) {
      const double score = expected(user, item);
      ASSERT_NEAR(ScoreOf(model, user, item), score,
                  1e-6 * std::max(1.0, std::abs(score)));
    }
  }
}

// NeuMF with everything that the two sources may have.
ModelSpec Both(const ModelSpec& gmf, const ModelSpec& mlp) {
  ModelSpec spec = mlp;
  spec.factors = gmf.factors;
  spec.cosine = gmf.cosine;
  spec.learned_head = true;
  spec.user_bias |= gmf.user_bias;
  spec.item_bias |= gmf.item_bias;
  spec.global_bias |= gmf.global_bias;
  return spec;
}

struct Pair {
  const char* gmf;
  const char* mlp;
};
void PrintTo(const Pair& pair, std::ostream* stream) {
  *stream << pair.gmf << " and " << pair.mlp;
}

class EveryPairTest : public testing::TestWithParam<Pair> {
 protected:
  ZooModel gmf_{FindInZoo(GetParam().gmf), 1};
  ZooModel mlp_{FindInZoo(GetParam().mlp), 2};
  ZooModel model_{Both(gmf_.spec(), mlp_.spec()), 3};
};

TEST_P(EveryPairTest, IsTheWeighedSumOfBoth) {
  for (const double alpha : {0.5, 0.3, 0.0, 1.0}) {
    NEUMF_ASSERT_OK(StartFromPretrained(&gmf_.parameters(), &mlp_.parameters(),
                                        alpha, &model_.parameters()));
    ExpectScores(model_, [&](uint32_t user, uint32_t item) {
      return alpha * ScoreOf(gmf_, user, item) +
             (1 - alpha) * ScoreOf(mlp_, user, item);
    });
  }
}

TEST_P(EveryPairTest, IsTheProductWhenThatIsAllThereIs) {
  const std::vector<float> before(model_.parameters().values().begin(),
                                  model_.parameters().values().end());
  NEUMF_ASSERT_OK(StartFromPretrained(&gmf_.parameters(), nullptr, 0.5,
                                      &model_.parameters()));
  ExpectScores(model_, [&](uint32_t user, uint32_t item) {
    return ScoreOf(gmf_, user, item);
  });
  // The tower is where it was, but for its output.
  const ParameterLayout& layout = model_.parameters().layout();
  const auto same = [&](const ParameterBlock& block) {
    const auto values = model_.parameters().block(block);
    return std::equal(values.begin(), values.end(),
                      before.begin() + static_cast<ptrdiff_t>(block.offset));
  };
  EXPECT_TRUE(same(layout.user_tower));
  EXPECT_TRUE(same(layout.item_tower));
  EXPECT_TRUE(same(layout.first_user_weight));
  EXPECT_TRUE(same(layout.first_bias));
  EXPECT_FALSE(same(layout.tower_head));
}

TEST_P(EveryPairTest, IsTheTowerWhenThatIsAllThereIs) {
  NEUMF_ASSERT_OK(StartFromPretrained(nullptr, &mlp_.parameters(), 0.5,
                                      &model_.parameters()));
  ExpectScores(model_, [&](uint32_t user, uint32_t item) {
    return ScoreOf(mlp_, user, item);
  });
}

INSTANTIATE_TEST_SUITE_P(
    Zoo, EveryPairTest,
    testing::Values(Pair{"Gmf", "Mlp"}, Pair{"Mf", "Mlp"},
                    Pair{"Mf", "MlpWithBiases"}, Pair{"BilinearDot", "Mlp"},
                    Pair{"BilinearCosine", "DeepTriplet"},
                    Pair{"BilinearCosineWithHead", "MlpWithBiases"}));

ModelSpec WithHistory(ModelSpec spec) {
  spec.history_length = 3;
  return spec;
}

TEST(PretrainedTest, TakesThePartsOutOfWholeModels) {
  const ZooModel one(FindInZoo("NeuMfWithLinearLayer"), 1);
  const ZooModel other(FindInZoo("NeuMfWithLinearLayer"), 2);
  ZooModel model(FindInZoo("NeuMfWithLinearLayer"), 3);
  NEUMF_ASSERT_OK(StartFromPretrained(&one.parameters(), &other.parameters(),
                                      0.25, &model.parameters()));
  // Without the other part of each.
  ZooModel product(FindInZoo("NeuMfWithLinearLayer"), 1);
  ZooModel tower(FindInZoo("NeuMfWithLinearLayer"), 2);
  const ParameterLayout& layout = model.parameters().layout();
  for (float& weight : product.parameters().block(layout.tower_head))
    weight = 0;
  for (float& weight : tower.parameters().block(layout.gmf_head)) weight = 0;
  ExpectScores(model, [&](uint32_t user, uint32_t item) {
    return 0.25 * ScoreOf(product, user, item) +
           0.75 * ScoreOf(tower, user, item);
  });
}

TEST(PretrainedTest, CopiesHistoryWhenBothHaveIt) {
  const ZooModel gmf(WithHistory(FindInZoo("Gmf")), 1);
  const ZooModel mlp(WithHistory(FindInZoo("Mlp")), 2);
  ZooModel model(Both(gmf.spec(), mlp.spec()), 3);
  NEUMF_ASSERT_OK(StartFromPretrained(&gmf.parameters(), &mlp.parameters(), 0.5,
                                      &model.parameters()));
  ExpectScores(model, [&](uint32_t user, uint32_t item) {
    return 0.5 * ScoreOf(gmf, user, item) + 0.5 * ScoreOf(mlp, user, item);
  });
}

TEST(PretrainedTest, LeavesHistoryAloneThatTheSourceLacks) {
  const ZooModel gmf(FindInZoo("Gmf"), 1);
  ZooModel model(WithHistory(FindInZoo("Gmf")), 3);
  const ParameterBlock& block = model.parameters().layout().user_gmf;
  const std::vector<float> last(
      model.parameters().row(block, block.rows - 1).begin(),
      model.parameters().row(block, block.rows - 1).end());
  NEUMF_ASSERT_OK(
      StartFromPretrained(&gmf.parameters(), nullptr, 1, &model.parameters()));
  EXPECT_EQ(model.parameters().row(block, block.rows - 1),
            absl::MakeConstSpan(last));
  EXPECT_EQ(model.parameters().row(block, 30),
            gmf.parameters().row(gmf.parameters().layout().user_gmf, 30));
}

// A model without output weights can still be what it starts from.
TEST(PretrainedTest, CopiesAWholeMatrixFactorization) {
  const ZooModel mf(FindInZoo("Mf"), 1);
  ZooModel model(FindInZoo("Mf"), 2);
  NEUMF_ASSERT_OK(
      StartFromPretrained(&mf.parameters(), nullptr, 0.5, &model.parameters()));
  EXPECT_EQ(model.parameters().values(), mf.parameters().values());
}

// INVALID_ARGUMENT with that text, and the model is as it was.
void ExpectRefused(const ModelSpec* gmf, const ModelSpec* mlp, double alpha,
                   const ModelSpec& spec,
                   const std::vector<std::string>& texts) {
  std::vector<Parameters> sources;
  sources.reserve(2);
  const auto make = [&](const ModelSpec* of) -> const Parameters* {
    if (of == nullptr) return nullptr;
    Parameters& source = sources.emplace_back(*of);
    std::fill(source.values().begin(), source.values().end(), 1.0F);
    return &source;
  };
  const Parameters* const product = make(gmf);
  const Parameters* const tower = make(mlp);
  Parameters parameters(spec);
  const absl::Status status =
      StartFromPretrained(product, tower, alpha, &parameters);
  for (const std::string& text : texts) {
    EXPECT_THAT(status,
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(text)));
  }
  EXPECT_TRUE(std::all_of(parameters.values().begin(),
                          parameters.values().end(),
                          [](float value) { return value == 0; }));
}

TEST(PretrainedTest, NamesTheBlockWhoseShapeDiffers) {
  const ModelSpec gmf = FindInZoo("Gmf");
  const ModelSpec mlp = FindInZoo("Mlp");
  const ModelSpec both = Both(gmf, mlp);

  ModelSpec wider = gmf;
  wider.factors = 9;
  ExpectRefused(&wider, nullptr, 1, both,
                {"the pretrained product", "user.gmf", "[31, 9]", "[31, 6]"});
  ModelSpec fewer = gmf;
  fewer.num_items = 36;
  ExpectRefused(&fewer, &mlp, 0.5, both, {"item.gmf", "[36, 6]", "[37, 6]"});
  ModelSpec thinner = mlp;
  thinner.hidden = {6, 3};
  ExpectRefused(&gmf, &thinner, 0.5, both,
                {"the pretrained tower", "tower.2.weight", "[3, 6]", "[4, 6]"});
  ModelSpec deeper = mlp;
  deeper.hidden = {6, 4, 4};
  ExpectRefused(nullptr, &deeper, 0.5, both, {"--hidden"});
  ModelSpec tailed = mlp;
  tailed.linear_width = 4;
  ExpectRefused(nullptr, &tailed, 0.5, both,
                {"linear.weight", "[4, 4] there and missing in the model"});
  ModelSpec biased = gmf;
  biased.item_bias = true;
  ExpectRefused(&biased, &mlp, 0.5, both,
                {"item.bias", "[37, 1] there and missing in the model"});
  ExpectRefused(&mlp, nullptr, 0.5, both, {"user.gmf", "missing there"});
  ExpectRefused(nullptr, &gmf, 0.5, both, {"head.tower", "missing there"});
  const ModelSpec history = WithHistory(gmf);
  ExpectRefused(&history, nullptr, 0.5, both,
                {"user.gmf", "[68, 6] there and [31, 6]"});
}

TEST(PretrainedTest, RefusesTheSameNumbersInAnotherFunction) {
  const ModelSpec gmf = FindInZoo("Gmf");
  const ModelSpec mlp = FindInZoo("Mlp");
  const ModelSpec both = Both(gmf, mlp);

  ModelSpec tanh = mlp;
  tanh.activation = Activation::kTanh;
  ExpectRefused(&gmf, &tanh, 0.5, both, {"--activation"});
  ModelSpec cosine = gmf;
  cosine.cosine = true;
  ExpectRefused(&cosine, &mlp, 0.5, both, {"--similarity"});
  ModelSpec shorter = WithHistory(gmf);
  shorter.history_length = 2;
  ExpectRefused(&shorter, nullptr, 0.5, WithHistory(gmf), {"--history"});
  ModelSpec swapped = gmf;
  swapped.num_users = 30;
  swapped.num_user_features = 1;
  ExpectRefused(&swapped, nullptr, 0.5, both, {"users and items"});
}

TEST(PretrainedTest, RefusesWhatCannotBeWeighed) {
  const ModelSpec gmf = FindInZoo("Gmf");
  const ModelSpec mf = FindInZoo("Mf");
  const ModelSpec mlp = FindInZoo("Mlp");
  ModelSpec headless = Both(mf, mlp);
  headless.learned_head = false;
  ExpectRefused(&mf, &mlp, 0.5, headless, {"no output weights"});
  ExpectRefused(nullptr, &mlp, 0.5, headless, {"no output weights"});
  const ModelSpec fm = FindInZoo("Fm");
  ModelSpec both = Both(fm, mlp);
  both.num_user_features = fm.num_user_features;
  both.num_item_features = fm.num_item_features;
  both.feature_interactions = true;
  ModelSpec tower = both;
  tower.factors = 0;
  tower.learned_head = tower.feature_interactions = false;
  ExpectRefused(&fm, &tower, 0.5, both, {"products of features"});
  ExpectRefused(nullptr, &tower, 0.5, both, {"products of features"});
  for (const double alpha : {-0.1, 1.5, std::nan("")}) {
    ExpectRefused(&gmf, &mlp, alpha, Both(gmf, mlp), {"--alpha"});
  }
}

}  // namespace
}  // namespace neumf
