#include "scoring/cuda/kernels/rank_keys.h"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "scoring/cuda/device/bits.h"
#include "scoring/rank_key.h"

namespace neumf::cuda {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(RankKeysTest, AreThoseOfTheOtherBackends) {
  std::mt19937 random(1);
  std::vector<float> scores = {0.0F,      1.0F,       -1.0F,   1e-42F,  -1e-42F,
                               kInfinity, -kInfinity, 3.4e38F, -3.4e38F};
  for (int i = 0; i < 1000; ++i) {
    scores.push_back(std::normal_distribution<float>(0, 10)(random));
  }
  for (float score : scores) {
    for (uint32_t row :
         {0U, 1U, 4'000'000'000U, static_cast<uint32_t>(random())}) {
      const uint64_t key = RankKeyOf(score, row);
      EXPECT_EQ(key, RankKey({score, row}));
      EXPECT_EQ(ScoreOfKey(key), score);
      EXPECT_EQ(RowOfKey(key), row);
      EXPECT_GT(key, 0);
    }
  }
}

TEST(RankKeysTest, TakeMinusZeroForZero) {
  EXPECT_EQ(RankKeyOf(-0.0F, 7), RankKeyOf(0.0F, 7));
  EXPECT_FALSE(std::signbit(ScoreOfKey(RankKeyOf(-0.0F, 7))));
  EXPECT_EQ(LeastRankKeyOf(-0.0F), LeastRankKeyOf(0.0F));
}

TEST(RankKeysTest, LeastOfAScorePartsItFromTheNextSmaller) {
  for (float score : {0.0F, 1.0F, -1.0F, 1e-42F}) {
    const float smaller = std::nextafter(score, -kInfinity);
    for (uint32_t row : {0U, 4'000'000'000U}) {
      EXPECT_GE(RankKeyOf(score, row), LeastRankKeyOf(score));
      EXPECT_LT(RankKeyOf(smaller, row), LeastRankKeyOf(score));
    }
  }
}

TEST(BitsTest, WidthIsThatOfTheHighestBit) {
  EXPECT_EQ(BitWidth(0), 0);
  for (uint32_t bit = 0; bit < 64; ++bit) {
    const uint64_t power = uint64_t{1} << bit;
    EXPECT_EQ(BitWidth(power), bit + 1);
    EXPECT_EQ(BitWidth(power | (power - 1)), bit + 1);
  }
}

}  // namespace
}  // namespace neumf::cuda
