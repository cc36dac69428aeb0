#include "scoring/cuda/device/half.h"

#include <cmath>
#include <limits>

#include "base/float16.h"
#include "gtest/gtest.h"

namespace neumf::cuda {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr uint32_t kNumHalves = 65536;

bool IsNan(uint32_t half) { return (half & 0x7FFF) > 0x7C00; }

// From the fields of the format: sign, five bits of exponent, ten of fraction.
double ValueByDefinition(uint32_t half) {
  const double sign = (half & 0x8000) != 0 ? -1 : 1;
  const int exponent = static_cast<int>(half >> 10 & 31);
  const int fraction = static_cast<int>(half & 1023);
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  if (exponent == 31) return sign * (fraction == 0 ? HUGE_VAL : NAN);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

// The half next to |value|, of two as near the even one; `value` is no NaN.
uint32_t NearestByDefinition(float value) {
  const double magnitude = std::fabs(static_cast<double>(value));
  const uint32_t sign = std::signbit(value) ? 0x8000 : 0;
  // Infinity rounds as if it were the next number, 65536.
  if (magnitude >= (65504.0 + 65536.0) / 2) return sign | 0x7C00;
  uint32_t below = 0;  // the greatest half that is not above
  for (uint32_t bit = 0x4000; bit != 0; bit /= 2) {
    const uint32_t half = below | bit;
    if (half < 0x7C00 && ValueByDefinition(half) <= magnitude) below = half;
  }
  const double rest = magnitude - ValueByDefinition(below);
  const double next =
      below + 1 == 0x7C00 ? 65536 : ValueByDefinition(below + 1);
  const double gap = next - magnitude;
  const bool up = rest > gap || (rest == gap && below % 2 == 1);
  return sign | (below + (up ? 1 : 0));
}

void ExpectNearest(float value) {
  EXPECT_EQ(HalfBits(value), NearestByDefinition(value)) << value;
}

void ExpectNearestAround(float value) {
  ExpectNearest(value);
  ExpectNearest(-value);
  ExpectNearest(std::nextafter(value, kInfinity));
  ExpectNearest(std::nextafter(value, -kInfinity));
  ExpectNearest(-std::nextafter(value, kInfinity));
  ExpectNearest(-std::nextafter(value, -kInfinity));
}

TEST(HalfTest, EveryHalfHasTheValueOfItsFields) {
  for (uint32_t half = 0; half < kNumHalves; ++half) {
    const float value = FloatOfHalf(static_cast<uint16_t>(half));
    if (IsNan(half)) {
      EXPECT_TRUE(std::isnan(value)) << half;
    } else {
      EXPECT_EQ(value, ValueByDefinition(half)) << half;
      EXPECT_EQ(std::signbit(value), half >= 0x8000) << half;
    }
  }
}

TEST(HalfTest, EveryHalfComesBackFromItsFloat) {
  for (uint32_t half = 0; half < kNumHalves; ++half) {
    const uint32_t expected = IsNan(half) ? 0x7FFF : half;
    EXPECT_EQ(HalfBits(FloatOfHalf(static_cast<uint16_t>(half))), expected);
  }
}

TEST(HalfTest, RoundsToTheNearestAtAndBesideEveryHalfAndEveryTie) {
  for (uint32_t half = 0; half < 0x7BFF; ++half) {
    const double value = ValueByDefinition(half);
    const double tie = (value + ValueByDefinition(half + 1)) / 2;
    ExpectNearestAround(static_cast<float>(value));
    ExpectNearestAround(static_cast<float>(tie));
  }
}

TEST(HalfTest, RoundsFloatsOfEveryExponentToTheNearest) {
  // Steps by an odd number: all exponents, and fractions of all kinds.
  for (uint64_t bits = 0; bits <= 0xFFFFFFFF; bits += 16381) {
    const float value = FloatOfBits(static_cast<uint32_t>(bits));
    if (!std::isnan(value)) ExpectNearest(value);
  }
}

TEST(HalfTest, EqualTheFloat16OfTables) {
  for (uint64_t bits = 0; bits <= 0xFFFFFFFF; bits += 16381) {
    const float value = FloatOfBits(static_cast<uint32_t>(bits));
    EXPECT_EQ(HalfBits(value) & 0x7FFF, ToFloat16(value).magnitude()) << value;
  }
  for (uint32_t half = 0; half < kNumHalves; ++half) {
    const auto bits = static_cast<uint16_t>(half);
    EXPECT_EQ(BitsOfFloat(FloatOfHalf(bits)),
              BitsOfFloat(ToFloat(Float16{bits})));
  }
}

TEST(HalfTest, OverflowsToInfinityFromHalfwayToTheNextPowerOn) {
  EXPECT_EQ(HalfBits(65504), 0x7BFF);
  EXPECT_EQ(HalfBits(std::nextafter(65520.0F, 0.0F)), 0x7BFF);
  EXPECT_EQ(HalfBits(65520), 0x7C00);
  EXPECT_EQ(HalfBits(-65520), 0xFC00);
  EXPECT_EQ(HalfBits(std::numeric_limits<float>::max()), 0x7C00);
  EXPECT_EQ(HalfBits(kInfinity), 0x7C00);
  EXPECT_EQ(HalfBits(-kInfinity), 0xFC00);
}

TEST(HalfTest, UnderflowsToZeroBelowHalfOfTheSmallest) {
  EXPECT_EQ(HalfBits(0x1p-24F), 1);
  EXPECT_EQ(HalfBits(0x1p-25F), 0);  // a tie
  EXPECT_EQ(HalfBits(std::nextafter(0x1p-25F, 1.0F)), 1);
  EXPECT_EQ(HalfBits(-std::numeric_limits<float>::denorm_min()), 0x8000);
}

TEST(HalfTest, KeepsNan) {
  EXPECT_EQ(HalfBits(std::numeric_limits<float>::quiet_NaN()), 0x7FFF);
  // All of its bits are in the part of the fraction that a half lacks.
  EXPECT_EQ(HalfBits(FloatOfBits(0x7F800001)), 0x7FFF);
}

TEST(HalfTest, PacksTheFirstIntoTheLowBits) {
  EXPECT_EQ(PackHalves(1, -2), 0xC0003C00);
  EXPECT_EQ(LowHalf(0xC0003C00), 1);
  EXPECT_EQ(HighHalf(0xC0003C00), -2);
}

}  // namespace
}  // namespace neumf::cuda
