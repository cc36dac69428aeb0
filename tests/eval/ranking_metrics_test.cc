#include "eval/ranking_metrics.h"

#include "gtest/gtest.h"

namespace neumf {
namespace {

TEST(RankingMetricsTest, HitsWithinTheFirstKPlaces) {
  EXPECT_EQ(HitAtK(0, 1), 1);
  EXPECT_EQ(HitAtK(49, 50), 1);
  EXPECT_EQ(HitAtK(49.5, 50), 1);
  EXPECT_EQ(HitAtK(50, 50), 0);
  EXPECT_EQ(HitAtK(0, 0), 0);
}

TEST(RankingMetricsTest, AucIsTheShareOfOthersThatStandBelow) {
  EXPECT_EQ(Auc(0, 5), 1);
  EXPECT_EQ(Auc(1, 5), .75);
  EXPECT_EQ(Auc(1.5, 5), .625);
  EXPECT_EQ(Auc(4, 5), 0);
}

TEST(RankingMetricsTest, AucOfASingleCandidateIsOne) {
  EXPECT_EQ(Auc(0, 1), 1);
}

}  // namespace
}  // namespace neumf
