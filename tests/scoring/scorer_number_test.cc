// Numbers at the edges of float32: zeros of either sign, denormal and huge ones,
// and those that are none.

#include <cfloat>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "model/score_bound.h"
#include "tests/scoring/scorer_fixture.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::Pair;

class ScorerNumberTest : public ScorerTest {
 protected:
  void ExpectReferenceBits() const {
    ExpectSameAsReference(QueriesOfAll(10));
    ExpectSameAsReference(QueriesOfAll(1000));
  }
};

INSTANTIATE_TEST_SUITE_P(Backends, ScorerNumberTest,
                         testing::ValuesIn(AllBackends()), BackendCaseName);

bool IsLoaded(const TinyModel& tiny) {
  ScoreBound bound(tiny.model.shape);
  bound.AddUsers(tiny.model.users);
  NEUMF_EXPECT_OK(StreamItemTables(tiny.items, [&](const ItemRows& rows) {
    bound.AddItems(rows);
    return absl::OkStatus();
  }));
  return bound.Check(tiny.model.network).ok();
}

TinyModel Scaled(const TinyModelOptions& options, float factor) {
  return Scaled(MakeTinyModel(options), factor);
}

// The largest power of two by which a model can be multiplied and still pass
// what a checkpoint has to pass when it is loaded.
float LargestFactor(const TinyModelOptions& options) {
  float factor = 1;
  while (IsLoaded(Scaled(options, 2 * factor))) factor *= 2;
  return factor;
}

TEST_P(ScorerNumberTest, ReturnsNegativeZeroAsZeroAndTiesThemByRow) {
  TinyModel tiny = ModelWithScores({-0.0F, 0.0F, -0.0F, -1.0F});
  tiny.model.network.head_bias = -0.0F;
  Use(std::move(tiny));
  EXPECT_THAT(RowsAndScoreBits(Rank(QueryOf(0, 3))),
              ElementsAre(Pair(0, 0), Pair(1, 0), Pair(2, 0)));
}

TEST_P(ScorerNumberTest, TakesNegativeZerosThroughTheTower) {
  TinyModel tiny = Scaled(Sized(100, 3, {9, 5}), -0.0F);
  for (DenseLayer& layer : tiny.model.network.layers) {
    for (float& weight : layer.weight) weight = -weight;
  }
  Use(std::move(tiny));
  ExpectReferenceBits();
  for (const Ranking& ranking : RankBatch(QueriesOfAll(1000))) {
    for (const auto& [row, bits] : RowsAndScoreBits(ranking)) {
      ASSERT_EQ(bits, 0) << "of row " << row;
    }
  }
}

TEST_P(ScorerNumberTest, KeepsDenormalScoresApart) {
  constexpr float kLeast = FLT_TRUE_MIN;
  Use(ModelWithScores({0, kLeast, 3 * kLeast, -kLeast, 2 * kLeast, FLT_MIN}));
  EXPECT_THAT(RowsOf(Rank(QueryOf(0, 6))), ElementsAre(5, 2, 4, 1, 0, 3));
  ExpectReferenceBits();
}

TEST_P(ScorerNumberTest, GivesTheReferenceBitsWhereEverythingIsDenormal) {
  const TinyModelOptions options = Sized(100, 5, {9, 7, 3});
  for (int exponent : {-120, -127, -135, -140, -149}) {
    SCOPED_TRACE(absl::StrCat("scaled by 2^", exponent));
    Use(Scaled(options, std::ldexp(1.0F, exponent)));
    ExpectReferenceBits();
  }
}

// Multiplied by a power of two a model ranks as before.
TEST_P(ScorerNumberTest, RanksTheLargestModelThatIsLoaded) {
  for (const Widths& tower : std::vector<Widths>{{}, {16}, {9, 7, 3}}) {
    SCOPED_TRACE(absl::StrCat(tower.size(), " layers"));
    const TinyModelOptions options = Sized(100, 5, tower);
    Use(options);
    const std::vector<Ranking> expected = RankBatch(QueriesOfAll(1000));
    const float factor = LargestFactor(options);
    ASSERT_GT(factor, 1e30F);
    Use(Scaled(options, factor));
    ExpectReferenceBits();
    const std::vector<Ranking> rankings = RankBatch(QueriesOfAll(1000));
    for (size_t b = 0; b < rankings.size(); ++b) {
      ASSERT_EQ(RowsOf(rankings[b]), RowsOf(expected[b]));
      for (size_t i = 0; i < expected[b].items.size(); ++i) {
        ASSERT_EQ(rankings[b].items[i].score,
                  expected[b].items[i].score * factor);
      }
    }
  }
}

// Every term has its largest value and the same sign: the bound is reached.
TEST_P(ScorerNumberTest, RanksScoresAsLargeAsTheBoundOfLoading) {
  constexpr float kLargest = FLT_MAX / 2;
  Use(ModelWithScores(
      {kLargest, -kLargest, 0, std::nextafter(kLargest, 0.0F)}));
  EXPECT_TRUE(IsLoaded(tiny_));
  EXPECT_THAT(RowsOf(Rank(QueryOf(0, 4))), ElementsAre(0, 3, 2, 1));
  ExpectReferenceBits();
  EXPECT_FALSE(IsLoaded(Scaled(std::move(tiny_), 2)));
}

TEST_P(ScorerNumberTest, PaddingNeverWinsOverBadScores) {
  Use(ModelWithScores(std::vector<float>(17, -FLT_MAX)));
  EXPECT_EQ(RowsOf(Rank(QueryOf(0, 100))), RowsBelow(17));
  ExpectReferenceBits();
}

TEST_P(ScorerNumberTest, KeepsScoresThatAreInfinite) {
  Use(ModelWithScores({-INFINITY, 1, INFINITY, -INFINITY}));
  EXPECT_THAT(RowsOf(Rank(QueryOf(0, 4))), ElementsAre(2, 1, 0, 3));
  ExpectReferenceBits();
}

TEST_P(ScorerNumberTest, LeavesOutScoresThatAreNotNumbers) {
  Use(ModelWithScores({1, NAN, 3, NAN}));
  EXPECT_THAT(RowsOf(Rank(QueryOf(0, 4))), ElementsAre(2, 0));
  ExpectReferenceBits();
}

TEST_P(ScorerNumberTest, RanksByBiasWhenEveryReluIsDead) {
  TinyModel tiny = MakeTinyModel(Sized(50, 0, {8, 4}));
  for (float& bias : tiny.model.network.layers[0].bias) bias = -1e6F;
  Use(std::move(tiny));
  ExpectReferenceBits();
  for (const ScoredRow& item : Rank(QueryOf(0, 50)).items) {
    EXPECT_EQ(item.score,
              tiny_.model.network.head_bias + tiny_.items.bias[item.row]);
  }
}

}  // namespace
}  // namespace neumf
