// The steps of error_bound.h's proof, each by trying many numbers;
// prepare_users_test.cc has the theorem.

#include "scoring/cuda/kernels/error_bound.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "scoring/cuda/device/half.h"

namespace neumf::cuda {
namespace {

double HalfRelu(double x) {
  return FloatOfHalf(HalfBits(static_cast<float>(std::max(x, 0.0))));
}

class ErrorBoundTest : public testing::Test {
 protected:
  double Between(double low, double high) {
    return low +
           (high - low) * std::uniform_real_distribution<double>()(random_);
  }
  // The ends, too.
  double SomeOf(double low, double high) {
    switch (random_() % 4) {
      case 0:
        return low;
      case 1:
        return high;
      default:
        return Between(low, high);
    }
  }

  std::mt19937_64 random_{7};
};

TEST_F(ErrorBoundTest, RoundingToAHalfIsWhatItCanBeAndNoMore) {
  EXPECT_EQ(RoundingToHalf(0), 0);
  EXPECT_NEAR(RoundingToHalf(0x1p-30), 0x1p-25, 0x1p-34);
  EXPECT_NEAR(RoundingToHalf(0x1p-14), 0x1p-25, 0x1p-34);
  EXPECT_NEAR(RoundingToHalf(1), 0x1p-11, 0x1p-20);
  EXPECT_NEAR(RoundingToHalf(1.999), 0x1p-11, 0x1p-20);
  EXPECT_NEAR(RoundingToHalf(2), 0x1p-10, 0x1p-19);
  EXPECT_NEAR(RoundingToHalf(65504), 16, 0.02);
  for (int i = 0; i < 100000; ++i) {
    const double top = std::exp2(Between(-30, 15.99));
    const double value = SomeOf(0, top);
    ASSERT_LE(std::fabs(HalfRelu(value) - static_cast<float>(value)),
              RoundingToHalf(top))
        << value << " of " << top;
  }
}

TEST_F(ErrorBoundTest, UnitsHoldWhatBecomesOfTheirSum) {
  for (int i = 0; i < 200000; ++i) {
    CoarseSum sum;
    sum.low = Between(-10, 10);
    sum.high = sum.low + Between(0, 10);
    sum.under = Between(-3, 3);
    sum.over = sum.under + Between(0, 3);
    const CoarseUnit unit = Activate(sum);
    const double exact = SomeOf(sum.low, sum.high);
    const double error = SomeOf(sum.under, sum.over);
    const double value = std::max(exact, 0.0);
    const double coarse = HalfRelu(exact + error);
    ASSERT_GE(value, unit.low);
    ASSERT_LE(value, unit.high);
    ASSERT_GE(coarse - value, unit.under) << exact << " and " << error;
    ASSERT_LE(coarse - value, unit.over) << exact << " and " << error;
    ASSERT_LE(std::max(coarse, value), unit.reach);
  }
}

TEST_F(ErrorBoundTest, UnitsThatAreAlwaysActiveKeepTheErrorOfTheirSum) {
  CoarseSum sum;
  sum.low = 5;
  sum.high = 7;
  sum.under = 0.25;
  sum.over = 0.5;
  const CoarseUnit unit = Activate(sum);
  EXPECT_NEAR(unit.under, 0.25, 0x1p-8);
  EXPECT_NEAR(unit.over, 0.5, 0x1p-8);
}

TEST_F(ErrorBoundTest, UnitsThatAreAlwaysDeadHaveNoError) {
  CoarseSum sum;
  sum.low = -7;
  sum.high = -5;
  sum.under = -1;
  sum.over = 4;
  const CoarseUnit unit = Activate(sum);
  EXPECT_EQ(unit.under, 0);
  EXPECT_EQ(unit.over, 0);
  EXPECT_EQ(unit.reach, 0);
}

TEST_F(ErrorBoundTest, SumsHoldTheErrorsOfTheirTerms) {
  for (int i = 0; i < 20000; ++i) {
    CoarseSum sum;
    double exact = 0;
    double coarse = 0;
    double magnitude = 0;
    for (int term = 0; term < 5; ++term) {
      CoarseUnit unit;
      unit.low = Between(-2, 2);
      unit.high = unit.low + Between(0, 2);
      unit.under = Between(-1, 1);
      unit.over = unit.under + Between(0, 1);
      unit.reach = std::max({std::fabs(unit.low), std::fabs(unit.high),
                             std::fabs(unit.low + unit.under),
                             std::fabs(unit.high + unit.over)});
      const double weight = Between(-2, 2);
      const double error = Between(-0.5, 0.5);
      sum.Add(weight, error, unit);
      const double value = SomeOf(unit.low, unit.high);
      const double off = SomeOf(unit.under, unit.over);
      exact += (weight - error) * value;
      coarse += weight * (value + off);
      magnitude += std::fabs(weight * (value + off));
    }
    sum.AddRounding(5, 0);
    ASSERT_GE(exact, sum.low);
    ASSERT_LE(exact, sum.high);
    ASSERT_GE(coarse - exact, sum.under);
    ASSERT_LE(coarse - exact, sum.over);
    ASSERT_LE(magnitude, sum.magnitude);
  }
}

// What it is too large by belongs to the number: their difference is exact.
TEST_F(ErrorBoundTest, NumbersKeepTheirErrors) {
  for (int i = 0; i < 100000; ++i) {
    const auto number = static_cast<float>(std::exp2(Between(-140, 15.99)) *
                                           (i % 2 == 0 ? 1 : -1));
    const CoarseNumber coarse = MakeCoarse(number);
    ASSERT_EQ(coarse.value, FloatOfHalf(HalfBits(number)));
    ASSERT_EQ(double{coarse.value} - coarse.error, number);
  }
  EXPECT_EQ(MakeCoarse(1e6F).value, kLargestHalf);
  EXPECT_EQ(MakeCoarse(1e6F).error, kLargestHalf - 1e6F);
  EXPECT_EQ(MakeCoarse(-INFINITY).value, -kLargestHalf);
  EXPECT_EQ(MakeCoarse(65519).value, kLargestHalf);
  EXPECT_TRUE(std::isnan(MakeCoarse(NAN).error));
}

}  // namespace
}  // namespace neumf::cuda
