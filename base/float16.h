#pragma once

// IEEE 754's 16-bit floats: a table of them takes half of the memory. 11 bits
// from 2^-14 to 65504, fewer below, and nothing above. Nothing is computed in
// them; scoring/cuda/device/half.h has the same for GPUs.

#include <cstdint>
#include <cstring>

namespace neumf {

struct Float16 {
  static constexpr uint16_t kInfinity = 0x7C00;
  static constexpr float kLargest = 65504;

  uint16_t bits;

  // Magnitudes stand in the order of their values; those of NaN and of the
  // infinities are the largest, from kInfinity on.
  uint16_t magnitude() const { return bits & 0x7FFF; }
};

// Exact.
inline float ToFloat(Float16 value) {
  // The multiplication corrects the exponent's bias, of denormals too; only
  // infinity and NaN stay to be told apart.
  const uint32_t shifted = uint32_t{value.magnitude()} << 13;
  float magnitude;
  std::memcpy(&magnitude, &shifted, sizeof(magnitude));
  magnitude *= 0x1p112F;
  uint32_t bits;
  std::memcpy(&bits, &magnitude, sizeof(bits));
  bits |= magnitude >= 65536.0F ? 0x7F800000 : 0;
  bits |= (uint32_t{value.bits} & 0x8000) << 16;
  std::memcpy(&magnitude, &bits, sizeof(magnitude));
  return magnitude;
}

// To the nearest, of two the even one; from 65520 on infinity, of NaN a NaN.
inline Float16 ToFloat16(float value) {
  constexpr uint32_t kFloatInfinity = 0x7F800000;
  constexpr uint32_t kOverflow = 0x477FF000;        // 65520
  constexpr uint32_t kSmallestNormal = 0x38800000;  // 2^-14
  uint32_t magnitude;
  std::memcpy(&magnitude, &value, sizeof(magnitude));
  const uint32_t sign = magnitude >> 16 & 0x8000;
  magnitude &= 0x7FFFFFFF;
  if (magnitude > kFloatInfinity) return {0x7FFF};
  uint32_t bits = Float16::kInfinity;
  if (magnitude < kSmallestNormal) {
    // Floats from 0.5 on lie as far apart as denormals here, 2^-24: the addition
    // rounds.
    float shifted;
    std::memcpy(&shifted, &magnitude, sizeof(shifted));
    shifted += 0.5F;
    std::memcpy(&bits, &shifted, sizeof(bits));
    bits -= 0x3F000000;  // 0.5
  } else if (magnitude < kOverflow) {
    // The exponent's bias is 112 less; a carry out of the mantissa belongs to
    // the exponent.
    const uint32_t odd = magnitude >> 13 & 1;
    bits = (magnitude + 0xFFF + odd - (uint32_t{112} << 23)) >> 13;
  }
  return {static_cast<uint16_t>(sign | bits)};
}

}  // namespace neumf
