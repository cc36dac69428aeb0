#include "trainer/fold.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "scoring/scorer.h"
#include "tests/support/status_matchers.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/neumf_module.h"

namespace neumf {
namespace {

double Tolerance(double score) { return 1e-5 * std::max(1.0, std::abs(score)); }

// The serving form by its definition, in float64.
double ServedScore(const FoldedModel& folded, uint64_t user, uint64_t item) {
  std::vector<double> h;
  for (uint32_t k = 0; k < folded.shape.tower_width(); ++k) {
    h.push_back(std::max(0.0, double{folded.users.tower.row(user)[k]} +
                                  double{folded.items.tower.row(item)[k]}));
  }
  for (const DenseLayer& layer : folded.network.layers) {
    std::vector<double> next(layer.out);
    for (uint32_t o = 0; o < layer.out; ++o) {
      next[o] = double{layer.bias[o]};
      for (uint32_t k = 0; k < layer.in; ++k) {
        next[o] += double{layer.weight[o * layer.in + k]} * h[k];
      }
      next[o] = std::max(0.0, next[o]);
    }
    h = next;
  }
  double score = folded.network.head_bias;
  for (uint32_t g = 0; g < folded.shape.gmf_width; ++g) {
    score += double{folded.users.gmf.row(user)[g]} *
             double{folded.items.gmf.row(item)[g]};
  }
  for (size_t k = 0; k < h.size(); ++k) {
    score += double{folded.network.head_weight[k]} * h[k];
  }
  return score;
}

class FoldTest : public testing::Test {
 protected:
  FoldTest()
      : parameters_(MakeRandomParameters(1)), folded_(Fold(parameters_)) {}

  NeuMfParameters parameters_;
  FoldedModel folded_;
};

TEST_F(FoldTest, ShapesFit) {
  EXPECT_EQ(folded_.shape.tower_widths, (std::vector<uint32_t>{4, 3, 2}));
  EXPECT_EQ(folded_.shape.gmf_width, 3U);
  EXPECT_FALSE(folded_.shape.has_item_bias);
  NEUMF_EXPECT_OK(Validate(folded_.shape, folded_.items));
}

TEST_F(FoldTest, IsTheTrainedFunctionOnEveryPair) {
  const NeuMfModule module(&parameters_);
  for (uint32_t user = 0; user < folded_.shape.num_users; ++user) {
    const std::vector<double> trained = module.ScoreAllItems(user);
    for (uint32_t item = 0; item < folded_.shape.num_items; ++item) {
      EXPECT_NEAR(ServedScore(folded_, user, item), trained[item],
                  Tolerance(trained[item]));
    }
  }
}

TEST_F(FoldTest, ScorerGivesTheTrainedScoreOfEveryPair) {
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const std::unique_ptr<ScorerBuilder> builder,
      MakeScorerBuilder(Backend::kReference, folded_.shape, folded_.network,
                        {}));
  NEUMF_ASSERT_OK(StreamItemTables(
      folded_.items, [&](const ItemRows& rows) { return builder->Add(rows); }));
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Scorer> scorer,
                             builder->Build());
  for (uint32_t user = 0; user < folded_.shape.num_users; ++user) {
    RankQuery query;
    query.user_gmf = folded_.users.gmf.row(user).data();
    query.user_tower = folded_.users.tower.row(user).data();
    query.k = static_cast<uint32_t>(folded_.shape.num_items);
    Ranking ranking;
    NEUMF_ASSERT_OK(scorer->Rank(absl::MakeConstSpan(&query, 1),
                                 absl::MakeSpan(&ranking, 1)));
    ASSERT_EQ(ranking.items.size(), folded_.shape.num_items);
    const std::vector<double> trained = ScoreByDefinition(parameters_, user);
    for (const ScoredRow& scored : ranking.items) {
      EXPECT_NEAR(scored.score, trained[scored.row],
                  Tolerance(trained[scored.row]));
    }
  }
}

}  // namespace
}  // namespace neumf
