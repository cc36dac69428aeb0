#include "scoring/scorer.h"

#include <atomic>
#include <cfloat>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/scoring/float64_twin.h"
#include "tests/scoring/scorer_fixture.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Widths = std::vector<uint32_t>;

TinyModelOptions Sized(uint64_t num_items, uint32_t gmf_width,
                       const Widths& tower_widths) {
  TinyModelOptions options;
  options.num_items = num_items;
  options.gmf_width = gmf_width;
  options.tower_widths = tower_widths;
  options.seen_per_user = std::min<uint64_t>(num_items / 3, 40);
  options.num_users = 3;
  return options;
}

// The same score for every item.
TinyModel ConstantModel(uint64_t num_items) {
  TinyModelOptions options = Sized(num_items, 1, {});
  options.seen_per_user = 0;
  options.item_bias = false;
  TinyModel tiny = MakeTinyModel(options);
  for (uint64_t i = 0; i < num_items; ++i) tiny.items.gmf.data()[i] = 1;
  return tiny;
}

// Item i scores scores[i] for every user.
TinyModel ModelWithScores(const std::vector<float>& scores) {
  TinyModel tiny = ConstantModel(scores.size());
  tiny.model.network.head_bias = 0;
  AlignedMatrix& users = tiny.model.users.gmf;
  std::fill(users.data(), users.data() + users.size(), 1.0F);
  std::copy(scores.begin(), scores.end(), tiny.items.gmf.data());
  return tiny;
}

INSTANTIATE_TEST_SUITE_P(Backends, ScorerTest, testing::ValuesIn(AllBackends()),
                         BackendCaseName);

TEST_P(ScorerTest, AgreesWithFloat64UpToRounding) {
  for (Activation activation :
       {Activation::kRelu, Activation::kTanh, Activation::kSigmoid}) {
    TinyModelOptions options = Sized(100, 8, {32, 16, 8});
    options.activation = activation;
    Use(options);
    for (uint32_t user = 0; user < 3; ++user) {
      for (const ScoredRow& item : Rank(QueryOf(user, 100)).items) {
        const TwinScore twin = ScoreInFloat64(tiny_, user, item.row);
        EXPECT_NEAR(item.score, twin.score, twin.rounding_bound);
      }
    }
  }
}

TEST_P(ScorerTest, GivesTheReferenceBitsAtEveryCatalogSize) {
  for (uint64_t num_items :
       {1,  7,   8,   9,   15,  16,  17,  31,  32,  33,   63,  64,
        65, 127, 128, 129, 255, 256, 257, 511, 513, 1023, 1025}) {
    SCOPED_TRACE(absl::StrCat(num_items, " items"));
    Use(Sized(num_items, 7, {8, 5}));
    for (uint32_t k : {0U, 1U, 10U, static_cast<uint32_t>(num_items), 5000U}) {
      ExpectSameAsReference(QueriesOfAll(k));
    }
  }
}

// With G = 8 and nothing else a block takes 512 bytes, so that 8,192 items fill
// the 256 KiB that are scanned at a time.
TEST_P(ScorerTest, GivesTheReferenceBitsAroundTheSizeOfAPiece) {
  for (uint64_t num_items : {8191, 8192, 8193, 16383, 16385}) {
    SCOPED_TRACE(absl::StrCat(num_items, " items"));
    TinyModelOptions options = Sized(num_items, 8, {});
    options.item_bias = false;
    Use(options);
    for (uint32_t k : {1U, 100U, 20000U}) {
      ExpectSameAsReference(QueriesOfAll(k));
    }
  }
}

TEST_P(ScorerTest, GivesTheReferenceBitsAtEveryWidthAndDepth) {
  const std::vector<Widths> towers = {{},
                                      {1},
                                      {7},
                                      {8},
                                      {16},
                                      {64},
                                      {64, 3},
                                      {16, 1},
                                      {9, 5, 3},
                                      {64, 32, 16},
                                      {8, 7, 6, 5},
                                      {3, 4, 5, 6, 7},
                                      {16, 13, 11, 7, 5, 2}};
  for (const Widths& tower : towers) {
    for (uint32_t gmf_width : {0, 1, 7, 8, 16, 64}) {
      if (tower.empty() && gmf_width == 0) continue;
      SCOPED_TRACE(absl::StrCat("tower [", absl::StrJoin(tower, ","), "] G ",
                                gmf_width));
      for (bool item_bias : {false, true}) {
        TinyModelOptions options = Sized(77, gmf_width, tower);
        options.item_bias = item_bias;
        Use(options);
        ExpectSameAsReference(QueriesOfAll(20));
      }
    }
  }
}

TEST_P(ScorerTest, GivesTheReferenceBitsWithTanhAndSigmoid) {
  for (Activation activation : {Activation::kTanh, Activation::kSigmoid}) {
    TinyModelOptions options = Sized(77, 3, {16, 7, 5});
    options.activation = activation;
    Use(options);
    ExpectSameAsReference(QueriesOfAll(77));
  }
}

TEST_P(ScorerTest, GivesTheReferenceBitsOnRandomQueries) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    std::mt19937_64 random(seed);
    const auto below = [&](uint64_t end) { return random() % end; };
    TinyModelOptions options = Sized(1 + below(700), 1 + below(9), {});
    for (uint64_t l = below(4); l > 0; --l) {
      options.tower_widths.push_back(static_cast<uint32_t>(1 + below(20)));
    }
    options.seed = seed;
    Use(options);

    const uint64_t num_items = options.num_items;
    ItemMask mask(num_items);
    std::vector<uint32_t> excluded;
    std::vector<uint32_t> allowed;
    for (uint32_t row = 0; row < num_items; ++row) {
      if (below(8) == 0) mask.Set(row);
      if (below(5) == 0) excluded.push_back(row);
      if (below(3) == 0) allowed.push_back(row);
    }
    std::vector<RankQuery> queries = QueriesOfAll(0);
    for (RankQuery& query : queries) {
      query.k = static_cast<uint32_t>(below(num_items + 10));
      if (below(2) == 0) query.excluded = excluded;
      if (below(2) == 0) query.allow_mask = &mask;
      if (below(3) == 0) query.allow_rows = allowed;
    }
    ExpectSameAsReference(queries);
  }
}

TEST_P(ScorerTest, BreaksTiesByRow) {
  Use(ConstantModel(1000));
  EXPECT_EQ(RowsOf(Rank(QueryOf(0, 5))), RowsBelow(5));
  EXPECT_EQ(RowsOf(Rank(QueryOf(0, 700))), RowsBelow(700));
}

TEST_P(ScorerTest, BreaksTiesByRowAcrossBlocksAndPieces) {
  std::vector<float> scores(2 * 65536 / 4, 0.0F);
  const std::vector<uint32_t> tied = {15,   16,   255,  256,  4095,
                                      4096, 8191, 8192, 16383};
  for (uint32_t row : tied) scores[row] = 1.0F;
  Use(ModelWithScores(scores));
  EXPECT_EQ(RowsOf(Rank(QueryOf(0, 9))), tied);
  EXPECT_THAT(RowsOf(Rank(QueryOf(0, 2))), ElementsAre(15, 16));
}

TEST_P(ScorerTest, RanksAscendingAndDescendingScores) {
  std::vector<float> scores(5000);
  for (size_t i = 0; i < scores.size(); ++i) scores[i] = static_cast<float>(i);
  Use(ModelWithScores(scores));
  EXPECT_THAT(RowsOf(Rank(QueryOf(0, 3))), ElementsAre(4999, 4998, 4997));
  for (float& score : scores) score = -score;
  Use(ModelWithScores(scores));
  EXPECT_THAT(RowsOf(Rank(QueryOf(0, 3))), ElementsAre(0, 1, 2));
}

TEST_P(ScorerTest, ReturnsNegativeZeroAsZeroAndTiesThemByRow) {
  Use(ModelWithScores({-0.0F, 0.0F, -0.0F, -1.0F}));
  tiny_.model.network.head_bias = -0.0F;
  Use(std::move(tiny_));
  const Ranking ranking = Rank(QueryOf(0, 4));
  EXPECT_THAT(RowsOf(ranking), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(RowsAndScoreBits(ranking)[0], testing::Pair(0, 0));
  EXPECT_THAT(RowsAndScoreBits(ranking)[2], testing::Pair(2, 0));
}

TEST_P(ScorerTest, RanksByBiasWhenEveryReluIsDead) {
  Use(Sized(50, 0, {8, 4}));
  for (float& bias : tiny_.model.network.layers[0].bias) bias = -1e6F;
  Use(std::move(tiny_));
  ExpectSameAsReference(QueriesOfAll(50));
  const Ranking ranking = Rank(QueryOf(0, 1));
  const uint32_t row = ranking.items[0].row;
  EXPECT_EQ(ranking.items[0].score,
            tiny_.model.network.head_bias + tiny_.items.bias[row]);
}

TEST_P(ScorerTest, PaddingNeverWinsOverBadScores) {
  Use(ModelWithScores(std::vector<float>(17, -FLT_MAX)));
  EXPECT_EQ(RowsOf(Rank(QueryOf(0, 100))), RowsBelow(17));
}

TEST_P(ScorerTest, LeavesOutScoresThatAreNotNumbers) {
  Use(ModelWithScores({1, NAN, 3, NAN}));
  EXPECT_THAT(RowsOf(Rank(QueryOf(0, 4))), ElementsAre(2, 0));
}

TEST_P(ScorerTest, AnswersNothingWhenEverythingIsSeen) {
  Use(Sized(100, 4, {8}));
  const std::vector<uint32_t> all = RowsBelow(100);
  RankQuery query = QueryOf(0, 10);
  query.seen = all;
  const Ranking ranking = Rank(query);
  EXPECT_THAT(ranking.items, IsEmpty());
  EXPECT_EQ(ranking.eligible_count, 0);
}

TEST_P(ScorerTest, CountsItemsThatAreSeenAndExcludedOnce) {
  Use(ConstantModel(10));
  const std::vector<uint32_t> seen = {0, 2, 4, 9};
  const std::vector<uint32_t> excluded = {2, 3, 9};
  RankQuery query = QueryOf(0, 3);
  query.seen = seen;
  query.excluded = excluded;
  const Ranking ranking = Rank(query);
  EXPECT_THAT(RowsOf(ranking), ElementsAre(1, 5, 6));
  EXPECT_EQ(ranking.eligible_count, 5);
}

TEST_P(ScorerTest, AnswersOnlyItemsOfTheMask) {
  Use(Sized(1003, 4, {8, 4}));
  for (size_t stride : {1, 2, 100, 1000}) {
    ItemMask mask(1003);
    for (size_t row = 1; row < 1003; row += stride) mask.Set(row);
    std::vector<RankQuery> queries = QueriesOfAll(30);
    for (RankQuery& query : queries) query.allow_mask = &mask;
    ExpectSameAsReference(queries);
  }
}

TEST_P(ScorerTest, AnswersTheOneItemOfAMaskInTheLastLane) {
  Use(Sized(1003, 4, {8, 4}));
  ItemMask mask(1003);
  RankQuery query = QueryOf(0, 10);
  query.seen = {};
  query.allow_mask = &mask;
  EXPECT_THAT(Rank(query).items, IsEmpty());
  mask.Set(1002);
  EXPECT_THAT(RowsOf(Rank(query)), ElementsAre(1002));
  EXPECT_EQ(Rank(query).eligible_count, 1);
}

TEST_P(ScorerTest, AnswersOnlyTheAllowedRows) {
  Use(Sized(1003, 4, {8, 4}));
  for (uint32_t count : {0U, 1U, 15U, 16U, 17U, 40U}) {
    std::vector<uint32_t> rows;
    for (uint32_t i = 0; i < count; ++i) rows.push_back(1002 - 25 * (39 - i));
    std::vector<RankQuery> queries = QueriesOfAll(10);
    for (RankQuery& query : queries) query.allow_rows = rows;
    ExpectSameAsReference(queries);
  }
}

TEST_P(ScorerTest, AnswersAloneAsInABatch) {
  TinyModelOptions options = Sized(2000, 8, {16, 8});
  options.num_users = 33;
  Use(options);
  const std::vector<RankQuery> all = QueriesOfAll(50);
  const std::vector<Ranking> together = RankBatch(all);
  const std::vector<Ranking> seven = RankBatch({all.begin(), all.begin() + 7});
  for (size_t b = 0; b < all.size(); ++b) {
    const auto alone = RowsAndScoreBits(Rank(all[b]));
    EXPECT_EQ(RowsAndScoreBits(together[b]), alone);
    if (b < seven.size()) {
      EXPECT_EQ(RowsAndScoreBits(seven[b]), alone);
    }
  }
}

TEST_P(ScorerTest, ForgetsEarlierAnswersInReusedRankings) {
  Use(Sized(100, 4, {}));
  std::vector<Ranking> rankings = RankBatch({QueryOf(0, 50)});
  const std::vector<RankQuery> query = {QueryOf(1, 2)};
  NEUMF_ASSERT_OK(scorer_->Rank(query, absl::MakeSpan(rankings)));
  EXPECT_EQ(RowsAndScoreBits(rankings[0]), RowsAndScoreBits(Rank(query[0])));
}

TEST_P(ScorerTest, AnswersAnEmptyBatch) {
  Use(Sized(10, 4, {}));
  NEUMF_EXPECT_OK(scorer_->Rank({}, {}));
}

TEST_P(ScorerTest, SaysWhichQueriesWereCancelled) {
  Use(Sized(3000, 4, {}));
  const std::atomic<bool> cancelled{true};
  const std::vector<uint32_t> rows = {3, 4};
  std::vector<RankQuery> queries = QueriesOfAll(5);
  const Ranking expected = Rank(queries[1]);
  queries[0].cancelled = &cancelled;
  queries[2].cancelled = &cancelled;
  queries[2].allow_rows = rows;
  const std::vector<Ranking> rankings = RankBatch(queries);
  EXPECT_TRUE(rankings[0].cancelled);
  EXPECT_FALSE(rankings[1].cancelled);
  EXPECT_TRUE(rankings[2].cancelled);
  EXPECT_EQ(RowsAndScoreBits(rankings[1]), RowsAndScoreBits(expected));
}

TEST_P(ScorerTest, AnswersManyCallersAtOnce) {
  TinyModelOptions options = Sized(3000, 8, {16, 8});
  options.num_users = 4;
  Use(options);
  const std::vector<RankQuery> queries = QueriesOfAll(20);
  std::vector<std::thread> callers;
  std::vector<std::vector<Ranking>> answers(queries.size());
  for (size_t b = 0; b < queries.size(); ++b) {
    callers.emplace_back([&, b] {
      for (int i = 0; i < 5; ++i) answers[b] = RankBatch({queries[b]});
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (size_t b = 0; b < queries.size(); ++b) {
    EXPECT_EQ(RowsAndScoreBits(answers[b][0]),
              RowsAndScoreBits(Rank(queries[b])));
  }
}

}  // namespace
}  // namespace neumf
