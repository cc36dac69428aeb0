// The order of an answer: by score, then by row, wherever the items lie.

#include "tests/scoring/scorer_fixture.h"

namespace neumf {
namespace {

using testing::ElementsAre;

class ScorerOrderTest : public ScorerTest {
 protected:
  // For several users at once, and from one item to more than all.
  void ExpectReferenceBitsAtEveryK() {
    const auto num_items = static_cast<uint32_t>(tiny_.model.shape.num_items);
    for (uint32_t k :
         {0U, 1U, 2U, 3U, 10U, 100U, num_items - 1, num_items, num_items + 1}) {
      ExpectSameAsReference(QueriesOfAll(k));
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Backends, ScorerOrderTest,
                         testing::ValuesIn(AllBackends()), BackendCaseName);

TEST_P(ScorerOrderTest, BreaksTiesByRow) {
  Use(ConstantModel(1000));
  EXPECT_EQ(RowsOf(Rank(QueryOf(0, 5))), RowsBelow(5));
  EXPECT_EQ(RowsOf(Rank(QueryOf(0, 700))), RowsBelow(700));
  EXPECT_EQ(RowsOf(Rank(QueryOf(0, 1001))), RowsBelow(1000));
  ExpectReferenceBitsAtEveryK();
}

// On both sides of a vector's, a block's, a tile's, a strip's and a piece's
// border, and in the first and the last row.
TEST_P(ScorerOrderTest, BreaksTiesByRowAcrossEveryBorder) {
  const std::vector<uint32_t> tied = {
      0,   3,   4,   7,    8,    15,   16,   31,    32,    255,
      256, 511, 512, 4095, 4096, 8191, 8192, 16383, 16384, 20000};
  std::vector<float> scores(20001, 0.0F);
  for (uint32_t row : tied) scores[row] = 1.0F;
  Use(ModelWithScores(scores));
  for (uint32_t k = 1; k <= tied.size(); ++k) {
    const std::vector<uint32_t> expected(tied.begin(), tied.begin() + k);
    for (const Ranking& ranking : RankBatch(QueriesOfAll(k))) {
      ASSERT_EQ(RowsOf(ranking), expected);
    }
  }
}

// Each item is the best so far: the threshold never holds one back.
TEST_P(ScorerOrderTest, RanksScoresThatAscendWithTheRow) {
  std::vector<float> scores(5000);
  for (size_t i = 0; i < scores.size(); ++i) scores[i] = static_cast<float>(i);
  Use(ModelWithScores(scores));
  EXPECT_THAT(RowsOf(Rank(QueryOf(0, 3))), ElementsAre(4999, 4998, 4997));
  ExpectReferenceBitsAtEveryK();
}

TEST_P(ScorerOrderTest, RanksScoresThatDescendWithTheRow) {
  std::vector<float> scores(5000);
  for (size_t i = 0; i < scores.size(); ++i) scores[i] = -static_cast<float>(i);
  Use(ModelWithScores(scores));
  EXPECT_THAT(RowsOf(Rank(QueryOf(0, 3))), ElementsAre(0, 1, 2));
  ExpectReferenceBitsAtEveryK();
}

// What is left out must not count for the threshold.
TEST_P(ScorerOrderTest, RanksWhatIsLeftWhenTheBestItemsAreSeen) {
  std::vector<float> scores(3000);
  for (size_t i = 0; i < scores.size(); ++i) scores[i] = -static_cast<float>(i);
  Use(ModelWithScores(scores));
  const std::vector<uint32_t> best = RowsBelow(1500);
  for (uint32_t k : {1U, 10U, 1500U, 3000U}) {
    std::vector<RankQuery> queries = QueriesOfAll(k);
    queries[0].seen = best;
    queries[1].excluded = best;
    ExpectSameAsReference(queries);
    EXPECT_EQ(Rank(queries[0]).items.front().row, 1500);
  }
}

TEST_P(ScorerOrderTest, RanksFewDifferentScores) {
  std::vector<float> scores(4000);
  for (size_t i = 0; i < scores.size(); ++i) {
    scores[i] = static_cast<float>(i * i % 7);
  }
  Use(ModelWithScores(scores));
  ExpectReferenceBitsAtEveryK();
}

}  // namespace
}  // namespace neumf
