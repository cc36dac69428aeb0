#include "scoring/cpu/survivors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <random>

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;
using testing::SizeIs;
using Rows = std::vector<uint32_t>;

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

std::vector<float> RandomScores(size_t count) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> scores(count);
  for (float& score : scores) score = normal(random);
  return scores;
}

// By definition: at least the K-th best score less the margin.
Rows WithinMargin(const std::vector<float>& scores, size_t k, double margin) {
  std::vector<float> sorted = scores;
  std::sort(sorted.rbegin(), sorted.rend());
  Rows rows;
  for (size_t row = 0; row < scores.size(); ++row) {
    if (scores[row] >= sorted[k - 1] - margin) {
      rows.push_back(static_cast<uint32_t>(row));
    }
  }
  return rows;
}

class SurvivorsTest : public testing::Test {
 protected:
  void Reset(uint64_t k, double margin, uint64_t limit = kNoLimit) {
    survivors_.Reset(k, margin, limit);
  }
  // Rows first, first + step, ... of `scores`, as a scan offers them.
  static void Push(const std::vector<float>& scores, Survivors* survivors,
                   size_t first = 0, size_t step = 1) {
    for (size_t row = first; row < scores.size(); row += step) {
      if (!(scores[row] >= survivors->threshold())) continue;
      survivors->Push({scores[row], static_cast<uint32_t>(row)});
    }
  }
  void Push(const std::vector<float>& scores) { Push(scores, &survivors_); }
  // Nothing when they are too many.
  std::optional<Rows> Finish() {
    Rows rows = {77};
    if (!survivors_.Finish(&rows)) return std::nullopt;
    return rows;
  }

  Survivors survivors_;
};

TEST_F(SurvivorsTest, KeepsWhatIsWithinTheMarginOfTheKthBest) {
  Reset(2, 1.0);
  Push({5, 1, 4, 3, 2.9F, 3.5F});
  EXPECT_THAT(Finish(), Optional(ElementsAre(0, 2, 3, 5)));
}

TEST_F(SurvivorsTest, KeepsTheSameFromManyScoresInAnyOrder) {
  std::vector<float> scores = RandomScores(20000);
  for (const bool ascending : {false, true}) {
    Reset(100, 0.25);
    Push(scores);
    EXPECT_EQ(Finish(), WithinMargin(scores, 100, 0.25));
    std::sort(scores.begin(), scores.end());
    Reset(100, 0.25);
    Push(scores);
    EXPECT_EQ(Finish(), WithinMargin(scores, 100, 0.25)) << ascending;
  }
}

TEST_F(SurvivorsTest, KeepsAllTies) {
  Reset(2, 0);
  Push(std::vector<float>(50, 1.5F));
  EXPECT_THAT(Finish(), Optional(SizeIs(50)));
}

TEST_F(SurvivorsTest, KeepsAllOfFewerThanK) {
  Reset(10, 0.1);
  Push({-1e30F, 3, 1e30F});
  EXPECT_THAT(Finish(), Optional(ElementsAre(0, 1, 2)));
  Reset(10, 0.1);
  EXPECT_THAT(Finish(), Optional(IsEmpty()));
}

TEST_F(SurvivorsTest, NeverKeepsWhatIsNoNumber) {
  Reset(2, 10);
  Push({1, NAN, 2, NAN});
  EXPECT_THAT(Finish(), Optional(ElementsAre(0, 2)));
}

TEST_F(SurvivorsTest, MergesPartsOfACatalogIntoTheSame) {
  const std::vector<float> scores = RandomScores(3000);
  Survivors other;
  Reset(20, 0.5);
  other.Reset(20, 0.5, kNoLimit);
  Push(scores, &survivors_, 0, 2);
  Push(scores, &other, 1, 2);
  survivors_.Merge(other);
  EXPECT_EQ(Finish(), WithinMargin(scores, 20, 0.5));
}

TEST_F(SurvivorsTest, GivesUpWhenTooManyAreWithinTheMargin) {
  const std::vector<float> scores = RandomScores(3000);
  const Rows within = WithinMargin(scores, 20, 0.5);
  Reset(20, 0.5, 2 * within.size());  // fewer than all that ever were
  Push(scores);
  EXPECT_EQ(Finish(), within);
  Reset(20, 0.5, within.size() - 1);
  Push(scores);
  EXPECT_EQ(Finish(), std::nullopt);
}

TEST_F(SurvivorsTest, LooksAtNothingMoreOnceItHasGivenUp) {
  Reset(2, 1, 3);
  Push(std::vector<float>(100, 1));
  EXPECT_EQ(survivors_.threshold(), INFINITY);
  Survivors other;
  other.Reset(2, 1, 3);
  other.Merge(survivors_);
  Rows rows;
  EXPECT_FALSE(other.Finish(&rows));
}

}  // namespace
}  // namespace neumf
