#include "trainer/step/dropout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "hwy/targets.h"

namespace neumf {
namespace {

std::vector<float> Mask(double rate, uint64_t seed, uint64_t first,
                        size_t count) {
  std::vector<float> mask(count, 1.0F);
  ApplyDropout(rate, seed, first, count, mask.data());
  return mask;
}

TEST(DropoutTest, DropsNothingAtRateZero) {
  EXPECT_THAT(Mask(0, 1, 0, 100), testing::Each(1.0F));
}

TEST(DropoutTest, DropsItsShareAndKeepsTheMean) {
  constexpr size_t kCount = 1 << 18;
  for (const double rate : {0.1, 0.5, 0.75}) {
    const std::vector<float> mask = Mask(rate, 3, 0, kCount);
    size_t dropped = 0;
    for (const float value : mask) {
      if (value == 0) {
        ++dropped;
      } else {
        ASSERT_FLOAT_EQ(value, static_cast<float>(1 / (1 - rate)));
      }
    }
    const double deviation = std::sqrt(rate * (1 - rate) / kCount);
    EXPECT_NEAR(static_cast<double>(dropped) / kCount, rate, 5 * deviation);
  }
}

TEST(DropoutTest, APieceIsAPieceOfTheWhole) {
  const std::vector<float> whole = Mask(0.5, 9, 0, 300);
  for (const size_t first : {0, 1, 7, 8, 64, 299}) {
    const std::vector<float> piece = Mask(0.5, 9, first, 300 - first);
    EXPECT_TRUE(std::equal(piece.begin(), piece.end(),
                           whole.begin() + static_cast<std::ptrdiff_t>(first)))
        << first;
  }
}

// How far two masks agree beyond chance, in standard deviations.
double Agreement(const std::vector<float>& a, const std::vector<float>& b) {
  double same = 0;
  for (size_t i = 0; i < a.size(); ++i) same += a[i] == b[i] ? 1 : 0;
  const auto count = static_cast<double>(a.size());
  return (same - count / 2) / std::sqrt(count / 4);
}

TEST(DropoutTest, SeedsAndPlacesAreIndependent) {
  constexpr size_t kCount = 1 << 16;
  const std::vector<float> mask = Mask(0.5, 4, 0, kCount);
  EXPECT_LT(std::abs(Agreement(mask, Mask(0.5, 5, 0, kCount))), 5);
  EXPECT_LT(std::abs(Agreement(mask, Mask(0.5, 4, 1, kCount))), 5);
  EXPECT_LT(std::abs(Agreement(mask, Mask(0.5, 4, 32, kCount))), 5);
}

TEST(DropoutTest, EveryInstructionSetDropsTheSame) {
  const std::vector<float> mask = Mask(0.3, 6, 5, 1001);
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    EXPECT_EQ(Mask(0.3, 6, 5, 1001), mask) << hwy::TargetName(target);
    hwy::SetSupportedTargetsForTest(0);
  }
}

// Places of more than 32 bits go on with other keys.
TEST(DropoutTest, GoesOnBeyond32Bits) {
  constexpr uint64_t kBorder = uint64_t{1} << 32;
  const std::vector<float> across = Mask(0.5, 8, kBorder - 100, 300);
  const std::vector<float> beyond = Mask(0.5, 8, kBorder, 200);
  EXPECT_TRUE(std::equal(beyond.begin(), beyond.end(), across.begin() + 100));
  EXPECT_NE(beyond, Mask(0.5, 8, 0, 200));
}

}  // namespace
}  // namespace neumf
