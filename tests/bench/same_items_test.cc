#include "bench/same_items.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::HasSubstr;

Ranking RankingOf(std::vector<ScoredRow> items) {
  Ranking ranking;
  ranking.items = std::move(items);
  return ranking;
}

const Ranking kOurs = RankingOf({{3, 7}, {2, 1}, {2, 5}, {1, 4}});

absl::Status Check(std::vector<ScoredRow> theirs) {
  const Ranking ranking = RankingOf(std::move(theirs));
  return CheckSameItems("peer", {&kOurs, 1}, {&ranking, 1});
}

auto IsDifference(const char* text) {
  return StatusIs(absl::StatusCode::kInternal, HasSubstr(text));
}

TEST(CheckSameItemsTest, AcceptsEqualRankings) {
  NEUMF_EXPECT_OK(Check(kOurs.items));
}

TEST(CheckSameItemsTest, AcceptsAnotherOrderOfEqualScores) {
  NEUMF_EXPECT_OK(Check({{3, 7}, {2, 5}, {2, 1}, {1, 4}}));
}

TEST(CheckSameItemsTest, AcceptsRounding) {
  NEUMF_EXPECT_OK(Check({{3.00001F, 7}, {2, 1}, {2, 5}, {1, 4}}));
}

TEST(CheckSameItemsTest, AcceptsAnItemThatTiesWithTheLast) {
  NEUMF_EXPECT_OK(Check({{3, 7}, {2, 1}, {2, 5}, {1, 9}}));
}

TEST(CheckSameItemsTest, RefusesAnotherItem) {
  EXPECT_THAT(Check({{3, 7}, {2, 1}, {2, 6}, {1, 4}}),
              IsDifference("item 6 (2) at place 2 instead of 5"));
}

TEST(CheckSameItemsTest, RefusesAnotherScore) {
  EXPECT_THAT(Check({{3, 7}, {2.01F, 1}, {2, 5}, {1, 4}}),
              IsDifference("at place 1"));
}

TEST(CheckSameItemsTest, RefusesAnItemThatComesTwice) {
  EXPECT_THAT(Check({{3, 7}, {2, 1}, {2, 1}, {1, 4}}),
              IsDifference("at place 2"));
}

TEST(CheckSameItemsTest, RefusesAShorterRanking) {
  EXPECT_THAT(Check({{3, 7}}), IsDifference("1 items instead of 4"));
}

}  // namespace
}  // namespace neumf
