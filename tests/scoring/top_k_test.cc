#include "scoring/top_k.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class TopKTest : public testing::Test {
 protected:
  void Select(uint32_t k, uint64_t num_items) { top_.Reset(k, num_items); }

  std::vector<ScoredRow> Best() {
    std::vector<ScoredRow> best;
    top_.Finish(&best);
    return best;
  }

  TopK top_;
};

std::vector<ScoredRow> RandomCandidates(uint64_t seed, uint32_t count) {
  std::mt19937_64 random(seed);
  std::vector<ScoredRow> candidates;
  for (uint32_t row = 0; row < count; ++row) {
    // Few different scores: many ties.
    candidates.push_back({static_cast<float>(random() % 50), row});
  }
  return candidates;
}

std::vector<ScoredRow> BestBySorting(std::vector<ScoredRow> candidates,
                                     size_t k) {
  std::sort(candidates.begin(), candidates.end());
  candidates.resize(std::min(k, candidates.size()));
  return candidates;
}

TEST_F(TopKTest, SelectsWhatSortingSelects) {
  const std::vector<ScoredRow> candidates = RandomCandidates(1, 1000);
  for (uint32_t k : {0U, 1U, 2U, 10U, 500U, 999U, 1000U, 2000U}) {
    Select(k, candidates.size());
    for (const ScoredRow& candidate : candidates) top_.Push(candidate);
    EXPECT_EQ(Best(), BestBySorting(candidates, k));
  }
}

TEST_F(TopKTest, KeepsTheSmallerRowsOfATieWhateverComesFirst) {
  Select(2, 10);
  for (uint32_t row : {9, 7, 8, 5, 4, 6, 2, 1, 3}) {
    top_.Push({1.0F, row});
  }
  EXPECT_THAT(Best(), ElementsAre(ScoredRow{1, 1}, ScoredRow{1, 2}));
}

TEST_F(TopKTest, RaisesTheThresholdToTheLastOfTheBest) {
  Select(2, 1000);
  EXPECT_EQ(top_.threshold(), -INFINITY);
  for (uint32_t row = 0; row < 100; ++row) {
    top_.Push({static_cast<float>(row), row});
  }
  EXPECT_GT(top_.threshold(), 90);
  EXPECT_LE(top_.threshold(), 98);
}

TEST_F(TopKTest, NeverKeepsANumberThatIsNone) {
  Select(3, 10);
  top_.Push({NAN, 0});
  EXPECT_THAT(Best(), IsEmpty());
}

TEST_F(TopKTest, KeepsInfiniteScores) {
  Select(3, 10);
  top_.Push({-INFINITY, 0});
  top_.Push({INFINITY, 1});
  EXPECT_THAT(Best(),
              ElementsAre(ScoredRow{INFINITY, 1}, ScoredRow{-INFINITY, 0}));
}

TEST_F(TopKTest, MergesSelectionsOverOtherRows) {
  const std::vector<ScoredRow> candidates = RandomCandidates(2, 1000);
  Select(20, candidates.size());
  TopK others[3];
  for (TopK& other : others) other.Reset(20, candidates.size());
  for (const ScoredRow& candidate : candidates) {
    others[candidate.row / 100 % 3].Push(candidate);
  }
  for (const TopK& other : others) top_.Merge(other);
  EXPECT_EQ(Best(), BestBySorting(candidates, 20));
}

}  // namespace
}  // namespace neumf
