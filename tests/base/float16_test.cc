#include "base/float16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>

namespace neumf {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// From the fields of the format: sign, five bits of exponent, ten of fraction.
float ValueByDefinition(uint16_t bits) {
  const float sign = (bits & 0x8000) != 0 ? -1.0F : 1.0F;
  const int exponent = bits >> 10 & 31;
  const auto fraction = static_cast<float>(bits & 1023);
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  if (exponent == 31) return fraction == 0 ? sign * kInfinity : NAN;
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

Float16 WithBits(uint32_t bits) { return {static_cast<uint16_t>(bits)}; }

bool IsNan(Float16 value) { return value.magnitude() > Float16::kInfinity; }

TEST(Float16Test, EachWidensToTheValueOfItsFields) {
  for (uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const Float16 value = WithBits(bits);
    const float wide = ToFloat(value);
    if (IsNan(value)) {
      EXPECT_TRUE(std::isnan(wide)) << bits;
    } else {
      EXPECT_EQ(wide, ValueByDefinition(value.bits)) << bits;
      EXPECT_EQ(std::signbit(wide), bits >= 0x8000) << bits;
    }
  }
}

TEST(Float16Test, EachComesBackFromItsFloat) {
  for (uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const Float16 value = WithBits(bits);
    const Float16 again = ToFloat16(ToFloat(value));
    if (IsNan(value)) {
      EXPECT_TRUE(IsNan(again)) << bits;
    } else {
      EXPECT_EQ(again.bits, bits);
    }
  }
}

TEST(Float16Test, RoundsToTheNearestAndTiesToTheEvenOne) {
  for (uint32_t bits = 0; bits + 1 < Float16::kInfinity; ++bits) {
    const float below = ToFloat(WithBits(bits));
    const float above = ToFloat(WithBits(bits + 1));
    const float tie = below + (above - below) / 2;  // exact in float32
    const uint32_t even = bits + bits % 2;
    EXPECT_EQ(ToFloat16(tie).bits, even);
    EXPECT_EQ(ToFloat16(-tie).bits, even | 0x8000);
    EXPECT_EQ(ToFloat16(std::nextafter(tie, 0.0F)).bits, bits);
    EXPECT_EQ(ToFloat16(std::nextafter(tie, kInfinity)).bits, bits + 1);
  }
}

TEST(Float16Test, OverflowsToInfinityFromHalfwayToTheNextPowerOn) {
  EXPECT_EQ(ToFloat(ToFloat16(std::nextafter(65520.0F, 0.0F))),
            Float16::kLargest);
  for (const float large : {65520.0F, 1e30F, kInfinity}) {
    EXPECT_EQ(ToFloat(ToFloat16(large)), kInfinity);
    EXPECT_EQ(ToFloat(ToFloat16(-large)), -kInfinity);
  }
  EXPECT_TRUE(IsNan(ToFloat16(NAN)));
}

}  // namespace
}  // namespace neumf
