// Answers that begin with a first pass in low precision: the same ones, bit for
// bit, and a sign of how they were found.

#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "hwy/highway.h"
#include "scoring/cpu/first_pass.h"
#include "tests/scoring/random_queries.h"
#include "tests/scoring/scorer_fixture.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::Each;
using testing::Eq;
using testing::Field;
using testing::Gt;
using testing::Lt;

FirstPassOptions Always() {
  FirstPassOptions options;
  options.min_items = 1;
  options.min_catalog_macs = 1;
  options.min_items_per_result = 1;
  return options;
}

template <typename Matcher>
auto Rescored(const Matcher& count) {
  return Field("rescored_count", &Ranking::rescored_count, count);
}

// The CPU backend's that have a first pass.
std::vector<BackendCase> BackendsWithFirstPass() {
  std::vector<BackendCase> cases;
  for (const BackendCase& backend : AllBackends()) {
    if ((backend.target & HWY_AVX3_DL) != 0) cases.push_back(backend);
  }
  return cases;
}

class ScorerFirstPassTest : public ScorerTest {
 protected:
  ScorerFirstPassTest() { first_pass_ = Always(); }

  bool HasFirstPass() const {
    return absl::StrContains(scorer_->name(), "int8 first pass");
  }
  // One item ruins the grid of a column, the others differ little.
  void UseTooClose() {
    TinyModel tiny = MakeTinyModel(Sized(5000, 0, {12, 8, 4}));
    for (float& bias : tiny.items.bias) bias *= 1e-6F;
    tiny.items.tower.row(17)[3] = 1e6F;
    Use(std::move(tiny));
  }
  void UseLarge() { Use(Sized(5000, 4, {12, 8, 4})); }
};

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ScorerFirstPassTest);
INSTANTIATE_TEST_SUITE_P(Backends, ScorerFirstPassTest,
                         testing::ValuesIn(BackendsWithFirstPass()),
                         BackendCaseName);

TEST_P(ScorerFirstPassTest, LeavesFewItemsToFloat32) {
  UseLarge();
  EXPECT_TRUE(HasFirstPass());
  EXPECT_THAT(RankBatch(QueriesOfAll(10)),
              Each(Rescored(AllOf(Gt(9), Lt(500)))));
  ExpectSameAsReference(QueriesOfAll(10));
}

TEST_P(ScorerFirstPassTest, GivesTheReferenceBitsOnEveryShape) {
  for (const Widths& tower :
       {Widths{1, 1}, Widths{3, 5}, Widths{8, 4}, Widths{33, 17, 9},
        Widths{64, 1, 30}, Widths{7, 6, 5, 4}, Widths{20, 20, 20, 20, 20},
        Widths{16, 15, 14, 13, 12, 11}}) {
    for (const uint32_t gmf_width : {0, 1, 9}) {
      for (const uint64_t num_items : {1, 15, 17, 300, 1700}) {
        SCOPED_TRACE(absl::StrCat(tower.size(), " layers from ", tower[0],
                                  ", G ", gmf_width, ", ", num_items));
        Use(Sized(num_items, gmf_width, tower));
        ASSERT_TRUE(HasFirstPass());
        ExpectSameAsReference(QueriesOfAll(1));
        ExpectSameAsReference(QueriesOfAll(20));
      }
    }
  }
}

TEST_P(ScorerFirstPassTest, GivesTheReferenceBitsOnRandomQueries) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    std::mt19937_64 random(seed);
    Widths tower;
    for (uint64_t l = 2 + random() % 5; l > 0; --l) {
      tower.push_back(1 + static_cast<uint32_t>(random() % 40));
    }
    TinyModelOptions options =
        Sized(1 + random() % 3000, static_cast<uint32_t>(random() % 10), tower);
    options.item_bias = random() % 2 == 0;
    options.seed = seed;
    Use(options);
    const RandomQueries queries(tiny_, 1 + random() % 6, seed);
    ExpectSameAsReference(queries.queries());
  }
}

// The error of the first pass is larger than the differences of scores.
TEST_P(ScorerFirstPassTest, ScansEverythingWhereScoresAreTooClose) {
  UseTooClose();
  EXPECT_THAT(RankBatch(QueriesOfAll(10)), Each(Rescored(Eq(5000))));
  ExpectSameAsReference(QueriesOfAll(10));
}

// Scores that differ in the last bits, and many that are equal.
TEST_P(ScorerFirstPassTest, TellsApartWhatTheFirstPassCannot) {
  TinyModel tiny = MakeTinyModel(Sized(5000, 3, {12, 8, 4}));
  for (uint32_t row = 0; row < 5000; row += 250) {
    for (uint32_t other = row; other < row + 8; ++other) {
      auto gmf = tiny.items.gmf.row(other);
      auto tower = tiny.items.tower.row(other);
      std::copy_n(tiny.items.gmf.row(row).data(), gmf.size(), gmf.data());
      std::copy_n(tiny.items.tower.row(row).data(), tower.size(), tower.data());
      gmf[0] = std::nextafter(gmf[0], other % 2 == 0 ? 9.0F : -9.0F);
      tiny.items.bias[other] = 3 + tiny.items.bias[row];
    }
  }
  Use(std::move(tiny));
  for (const uint32_t k : {1, 7, 9, 80, 161}) {
    ExpectSameAsReference(QueriesOfAll(k));
  }
  EXPECT_THAT(RankBatch(QueriesOfAll(9)), Each(Rescored(Lt(600))));
}

TEST_P(ScorerFirstPassTest, RanksUsersWithoutABoundInFloat32) {
  TinyModel tiny = MakeTinyModel(Sized(1000, 3, {12, 8}));
  tiny.model.users.tower.row(1)[2] = 1e38F;
  tiny.model.users.gmf.row(2)[0] = 3e38F;
  Use(std::move(tiny));
  ExpectSameAsReference(QueriesOfAll(10));
  const std::vector<Ranking> rankings = RankBatch(QueriesOfAll(10));
  EXPECT_THAT(rankings[0], Rescored(Lt(500)));
  EXPECT_THAT(rankings[1], Rescored(Eq(1000)));
  EXPECT_THAT(rankings[2], Rescored(Eq(1000)));
}

TEST_P(ScorerFirstPassTest, HasNoFirstPassWhereItCannotOrWouldNotPay) {
  TinyModelOptions options = Sized(3000, 4, {8, 4});
  options.activation = Activation::kTanh;
  Use(options);
  EXPECT_FALSE(HasFirstPass()) << "with tanh";
  Use(Sized(3000, 4, {8}));
  EXPECT_FALSE(HasFirstPass()) << "with nothing to multiply";
  Use(Sized(3000, 4, {}));
  EXPECT_FALSE(HasFirstPass()) << "without a tower";
  TinyModel infinite = MakeTinyModel(Sized(3000, 4, {8, 4}));
  infinite.items.tower.row(2999)[7] = INFINITY;
  Use(std::move(infinite));
  EXPECT_FALSE(HasFirstPass()) << "with an infinite value";
  first_pass_.min_items = 3001;
  Use(Sized(3000, 4, {8, 4}));
  EXPECT_FALSE(HasFirstPass()) << "of a small catalog";
  first_pass_ = Always();
  first_pass_.min_catalog_macs = 3000 * 8 * 4 + 1;
  Use(Sized(3000, 4, {8, 4}));
  EXPECT_FALSE(HasFirstPass()) << "of a small tower";
  first_pass_ = Always();
  first_pass_.enabled = false;
  Use(Sized(3000, 4, {8, 4}));
  EXPECT_FALSE(HasFirstPass()) << "switched off";
}

TEST_P(ScorerFirstPassTest, TakesOnlyQueriesForFewItems) {
  first_pass_.min_items_per_result = 100;
  UseLarge();
  EXPECT_THAT(RankBatch(QueriesOfAll(50)), Each(Rescored(Gt(0))));
  EXPECT_THAT(RankBatch(QueriesOfAll(51)), Each(Rescored(Eq(0))));
  EXPECT_THAT(RankBatch(QueriesOfAll(0)), Each(Rescored(Eq(0))));
}

TEST_P(ScorerFirstPassTest, ForgetsTheRescoredItemsOfTheRankingBefore) {
  UseLarge();
  std::vector<Ranking> rankings(1);
  NEUMF_ASSERT_OK(scorer_->Rank({QueryOf(0, 10)}, absl::MakeSpan(rankings)));
  ASSERT_THAT(rankings, Each(Rescored(Gt(0))));
  NEUMF_ASSERT_OK(scorer_->Rank({QueryOf(0, 0)}, absl::MakeSpan(rankings)));
  EXPECT_THAT(rankings, Each(Rescored(Eq(0))));
}

TEST_P(ScorerFirstPassTest, CountsItsMemory) {
  UseLarge();
  const uint64_t with = scorer_->resident_bytes();
  first_pass_.enabled = false;
  UseLarge();
  EXPECT_GE(with, scorer_->resident_bytes() + 5000 * 12);
}

TEST_P(ScorerFirstPassTest, PausesWhereItLeavesTooMany) {
  UseTooClose();
  ASSERT_THAT(Rank(QueryOf(0, 10)), Rescored(Eq(5000)));
  EXPECT_THAT(Rank(QueryOf(0, 10)), Rescored(Eq(0)));
}

TEST(FirstPassBalanceTest, PausesAfterAFailureAndTriesAgain) {
  FirstPassBalance balance;
  EXPECT_TRUE(balance.IsPositive());
  balance.Add(false);
  int num_queries = 0;
  while (!balance.IsPositive()) ++num_queries;
  EXPECT_EQ(num_queries, 256);
  balance.Add(false);
  EXPECT_FALSE(balance.IsPositive());
}

TEST(FirstPassBalanceTest, BearsAsManyFailuresAsThereWereSuccesses) {
  FirstPassBalance balance;
  for (int i = 0; i < 5; ++i) balance.Add(true);
  for (int i = 0; i < 5; ++i) balance.Add(false);
  EXPECT_TRUE(balance.IsPositive());
  balance.Add(false);
  EXPECT_FALSE(balance.IsPositive());
}

}  // namespace
}  // namespace neumf
