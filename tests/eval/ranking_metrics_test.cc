// Every formula against numbers worked out by hand.

#include "eval/ranking_metrics.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace neumf {
namespace {

using Places = std::vector<double>;

TEST(HitsAtKTest, CountsThePlacesAmongTheFirstK) {
  EXPECT_EQ(HitsAtK(Places{0}, 1), 1);
  EXPECT_EQ(HitsAtK(Places{49}, 50), 1);
  EXPECT_EQ(HitsAtK(Places{49.5}, 50), 1);
  EXPECT_EQ(HitsAtK(Places{50}, 50), 0);
  EXPECT_EQ(HitsAtK(Places{1, 4, 10}, 5), 2);
  EXPECT_EQ(HitsAtK(Places{}, 5), 0);
}

TEST(PrecisionAtKTest, IsTheShareOfTheFirstKWhateverThereIsToHit) {
  EXPECT_DOUBLE_EQ(PrecisionAtK(Places{1, 4, 10}, 5), .4);
  EXPECT_DOUBLE_EQ(PrecisionAtK(Places{0}, 10), .1);
  EXPECT_EQ(PrecisionAtK(Places{}, 10), 0);
}

TEST(RecallAtKTest, IsTheShareOfTheHeldOut) {
  EXPECT_DOUBLE_EQ(RecallAtK(Places{1, 4, 10}, 3, 5), 2.0 / 3);
  // One of four has no place: the list was cut.
  EXPECT_DOUBLE_EQ(RecallAtK(Places{1, 4, 10}, 4, 20), .75);
  EXPECT_EQ(RecallAtK(Places{}, 4, 20), 0);
}

TEST(NdcgAtKTest, OfOneItemIsItsDiscount) {
  EXPECT_DOUBLE_EQ(NdcgAtK(Places{0}, 1, 10), 1);
  EXPECT_DOUBLE_EQ(NdcgAtK(Places{2}, 1, 10), .5);  // 1 / log2(4)
  EXPECT_DOUBLE_EQ(NdcgAtK(Places{9}, 1, 10), std::log(2) / std::log(11));
  EXPECT_EQ(NdcgAtK(Places{10}, 1, 10), 0);
}

TEST(NdcgAtKTest, ComparesWithTheBestThatKAllows) {
  // 1 / log2(2) + 1 / log2(4) over 1 / log2(2) + 1 / log2(3) + 1 / log2(4).
  const double ideal_of_3 = 1 + 1 / std::log2(3) + .5;
  EXPECT_DOUBLE_EQ(NdcgAtK(Places{0, 2, 30}, 3, 10), 1.5 / ideal_of_3);
  // Ten items to find, but only two places.
  EXPECT_DOUBLE_EQ(NdcgAtK(Places{0, 1, 5}, 10, 2), 1);
  EXPECT_DOUBLE_EQ(NdcgAtK(Places{1, 5}, 10, 2),
                   1 / std::log2(3) / (1 + 1 / std::log2(3)));
}

TEST(AveragePrecisionTest, AveragesThePrecisionAtEachPlace) {
  EXPECT_DOUBLE_EQ(AveragePrecision(Places{0, 1, 2}, 3), 1);
  // Precision 1/2 at the second place, 2/4 at the fourth.
  EXPECT_DOUBLE_EQ(AveragePrecision(Places{1, 3}, 2), .5);
  // 1/1, 2/5; the third has no place.
  EXPECT_DOUBLE_EQ(AveragePrecision(Places{0, 4}, 3), 1.4 / 3);
  EXPECT_EQ(AveragePrecision(Places{}, 3), 0);
}

TEST(AveragePrecisionTest, OfAGroupOfTiesIsThatOfItsMiddle) {
  // Both held-out items share places 0 and 1: 1/1.5 and 2/1.5.
  EXPECT_DOUBLE_EQ(AveragePrecision(Places{.5, .5}, 2), 1);
}

TEST(ReciprocalRankTest, LooksAtTheFirst) {
  EXPECT_DOUBLE_EQ(ReciprocalRank(Places{0, 7}), 1);
  EXPECT_DOUBLE_EQ(ReciprocalRank(Places{3, 7}), .25);
  EXPECT_DOUBLE_EQ(ReciprocalRank(Places{.5}), 1 / 1.5);
  EXPECT_EQ(ReciprocalRank(Places{}), 0);
}

TEST(AucTest, OfOneItemIsTheShareOfOthersThatStandBelow) {
  EXPECT_EQ(Auc(Places{0}, 5), 1);
  EXPECT_EQ(Auc(Places{1}, 5), .75);
  EXPECT_EQ(Auc(Places{1.5}, 5), .625);
  EXPECT_EQ(Auc(Places{4}, 5), 0);
}

TEST(AucTest, OfManyIsTheShareOfPairsInOrder) {
  // Against 3 others: the item at place 0 beats 3, that at place 2 beats 2.
  EXPECT_DOUBLE_EQ(Auc(Places{0, 2}, 5), 5.0 / 6);
  EXPECT_DOUBLE_EQ(Auc(Places{0, 1}, 5), 1);
  EXPECT_DOUBLE_EQ(Auc(Places{3, 4}, 5), 0);
  // All five tie: every midrank is 2.
  EXPECT_DOUBLE_EQ(Auc(Places{2, 2}, 5), .5);
}

// (sum of ascending midranks - P(P+1)/2) / (P N), ranks from 1 upwards.
TEST(AucTest, IsTheRankSumFormula) {
  const Places places = {0, 3.5, 3.5, 8, 16};
  const double num_candidates = 20;
  double rank_sum = 0;
  for (const double place : places) rank_sum += num_candidates - place;
  EXPECT_DOUBLE_EQ(Auc(places, 20), (rank_sum - 5 * 6 / 2.0) / (5 * 15));
}

TEST(AucTest, WithoutAPairIsOne) {
  EXPECT_EQ(Auc(Places{0}, 1), 1);
  EXPECT_EQ(Auc(Places{0, 1}, 2), 1);
}

TEST(AucOfFirstTest, CountsTheOtherHeldOutItemsAsCandidates) {
  EXPECT_DOUBLE_EQ(AucOfFirst(Places{1, 2, 3}, 5), .75);
  EXPECT_EQ(AucOfFirst(Places{0}, 1), 1);
}

}  // namespace
}  // namespace neumf
