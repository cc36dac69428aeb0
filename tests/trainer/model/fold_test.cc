#include "trainer/model/fold.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "scoring/scorer.h"
#include "tests/support/status_matchers.h"
#include "tests/trainer/model/model_zoo.h"
#include "trainer/model/torch_model.h"

namespace neumf {
namespace {

double Tolerance(double score) { return 1e-5 * std::max(1.0, std::abs(score)); }

FoldedModel FoldZoo(ZooModel& model, bool keep_user_terms, size_t num_threads) {
  ThreadPool threads(num_threads, "fold");
  return Fold(model.parameters(), model.item_bags(), model.user_bags(),
              keep_user_terms, threads);
}

std::unique_ptr<Scorer> MakeReference(const FoldedModel& folded) {
  auto builder =
      MakeScorerBuilder(Backend::kReference, folded.shape, folded.network, {});
  NEUMF_EXPECT_OK(builder);
  NEUMF_EXPECT_OK(StreamItemTables(folded.items, [&](const ItemRows& rows) {
    return (*builder)->Add(rows);
  }));
  auto scorer = (*builder)->Build();
  NEUMF_EXPECT_OK(scorer);
  return *std::move(scorer);
}

// By item.
std::vector<float> ServedScores(const FoldedModel& folded,
                                const Scorer& reference, uint32_t user) {
  RankQuery query;
  query.user_gmf = folded.users.gmf.row(user).data();
  query.user_tower = folded.users.tower.row(user).data();
  query.k = static_cast<uint32_t>(folded.shape.num_items);
  Ranking ranking;
  NEUMF_EXPECT_OK(reference.Rank(absl::MakeConstSpan(&query, 1),
                                 absl::MakeSpan(&ranking, 1)));
  EXPECT_EQ(ranking.items.size(), folded.shape.num_items);
  std::vector<float> scores(folded.shape.num_items);
  for (const ScoredRow& scored : ranking.items) {
    scores[scored.row] = scored.score;
  }
  return scores;
}

class FoldTest : public testing::TestWithParam<ModelCase> {};

// 31 x 37 pairs.
TEST_P(FoldTest, ReferenceScorerGivesTheTrainedScoreOfEveryPair) {
  ZooModel model(GetParam().spec, 11);
  const TorchModel trained(&model.parameters(), &model.item_bags());
  const FoldedModel folded = FoldZoo(model, /*keep_user_terms=*/true, 2);
  NEUMF_ASSERT_OK(Validate(folded.shape, folded.network));
  NEUMF_ASSERT_OK(Validate(folded.shape, folded.items));
  const std::unique_ptr<Scorer> reference = MakeReference(folded);
  for (uint32_t user = 0; user < folded.shape.num_users; ++user) {
    const OwnedBag bag(model.user_bags(), user);
    const std::vector<double> expected = trained.ScoreAllItems(bag.bag());
    const std::vector<float> served = ServedScores(folded, *reference, user);
    for (uint32_t item = 0; item < folded.shape.num_items; ++item) {
      ASSERT_NEAR(served[item], expected[item], Tolerance(expected[item]))
          << "user " << user << ", item " << item;
    }
  }
}

TEST_P(FoldTest, WithoutUserTermsScoresLackThoseAlone) {
  ZooModel model(GetParam().spec, 12);
  const FoldedModel folded = FoldZoo(model, /*keep_user_terms=*/false, 1);
  EXPECT_EQ(folded.shape.gmf_width, GetParam().spec.factors);
  const std::unique_ptr<Scorer> reference = MakeReference(folded);
  for (uint32_t user = 0; user < folded.shape.num_users; ++user) {
    const OwnedBag bag(model.user_bags(), user);
    const std::vector<float> served = ServedScores(folded, *reference, user);
    for (uint32_t item = 0; item < folded.shape.num_items; ++item) {
      double user_terms = 0;
      const double score = model.Score(bag.bag(), item, &user_terms);
      ASSERT_NEAR(served[item], score - user_terms, Tolerance(score))
          << "user " << user << ", item " << item;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllModels, FoldTest, testing::ValuesIn(ModelZoo()),
                         [](const auto& param) { return param.param.name; });

TEST(FoldShapeTest, UserTermsTakeOneColumn) {
  ZooModel fm(FindInZoo("Fm"), 1);
  EXPECT_EQ(FoldZoo(fm, true, 1).shape.gmf_width, 6U);
  EXPECT_TRUE(FoldZoo(fm, true, 1).shape.has_item_bias);
  ZooModel mlp(FindInZoo("MlpWithBiases"), 1);
  EXPECT_EQ(FoldZoo(mlp, true, 1).shape.gmf_width, 1U);
  EXPECT_EQ(FoldZoo(mlp, false, 1).shape.gmf_width, 0U);
  ZooModel gmf(FindInZoo("Gmf"), 1);
  EXPECT_EQ(FoldZoo(gmf, true, 1).shape.gmf_width, 6U);
  EXPECT_FALSE(FoldZoo(gmf, true, 1).shape.has_item_bias);
}

TEST(FoldShapeTest, TheLinearLayerIsGone) {
  ZooModel model(FindInZoo("NeuMfWithLinearLayer"), 1);
  const FoldedModel folded = FoldZoo(model, true, 1);
  EXPECT_EQ(folded.shape.tower_widths, (std::vector<uint32_t>{7, 5, 3}));
  EXPECT_EQ(folded.network.head_weight.size(), 3U);
}

TEST(FoldCosineTest, AZeroVectorStaysZero) {
  ZooModel model(FindInZoo("BilinearCosine"), 1);
  Parameters& parameters = model.parameters();
  for (float& value : parameters.block(parameters.layout().user_gmf)) {
    value = 0;
  }
  const FoldedModel folded = FoldZoo(model, true, 1);
  for (size_t n = 0; n < folded.users.gmf.size(); ++n) {
    ASSERT_EQ(folded.users.gmf.data()[n], 0);
  }
  const TorchModel trained(&parameters, &model.item_bags());
  const OwnedBag bag(model.user_bags(), 3);
  for (const double score : trained.ScoreAllItems(bag.bag())) {
    EXPECT_EQ(score, 0);
  }
}

bool SameBytes(const AlignedMatrix& a, const AlignedMatrix& b) {
  return a.size() == b.size() &&
         (a.empty() ||
          std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

// More rows than a thread takes at once.
TEST(FoldThreadsTest, ThreadsDoNotChangeTheResult) {
  ModelSpec spec = FindInZoo("NeuMfRelu");
  spec.num_users = 1031;
  spec.num_items = 777;
  spec.user_bias = true;
  spec.history_length = 3;
  std::vector<Event> events;
  for (uint32_t user = 0; user < spec.num_users; ++user) {
    for (uint32_t n = 0; n < user % 5; ++n) {
      events.push_back({user, (user * 7 + n) % 777, 5, n});
    }
  }
  const ItemSequences sequences(spec.num_users, events);
  const ItemBags item_bags(spec.num_items, nullptr);
  const UserBags user_bags(spec, nullptr, &sequences);
  Parameters parameters(spec);
  Random random(2);
  parameters.Initialize(Initialization::kTorch, 0, random);
  ThreadPool one(1, "fold");
  ThreadPool three(3, "fold");
  const FoldedModel a = Fold(parameters, item_bags, user_bags, true, one);
  const FoldedModel b = Fold(parameters, item_bags, user_bags, true, three);
  EXPECT_TRUE(SameBytes(a.users.gmf, b.users.gmf));
  EXPECT_TRUE(SameBytes(a.users.tower, b.users.tower));
  EXPECT_TRUE(SameBytes(a.items.gmf, b.items.gmf));
  EXPECT_TRUE(SameBytes(a.items.tower, b.items.tower));
}

}  // namespace
}  // namespace neumf
