#pragma once

// IEEE 754's 16-bit floats, "halves", as bits. The host packs tables with the
// same functions with which kernels round, so that what the host says of a
// half's error holds on the device.

#include <cstdint>
#include <cstring>

#include "scoring/cuda/device/annotations.h"

#ifdef __CUDACC__
#include <cuda_fp16.h>
#endif

namespace neumf::cuda {

NEUMF_HOST_DEVICE uint32_t BitsOfFloat(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

NEUMF_HOST_DEVICE float FloatOfBits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// To the nearest half, of two the even one; from 65520 on infinity. Any NaN
// becomes 0x7FFF, as it does on GPUs.
NEUMF_HOST_DEVICE uint16_t HalfBits(float value) {
#ifdef __CUDA_ARCH__
  return __half_as_ushort(__float2half_rn(value));
#else
  constexpr uint32_t kInfinity = 0x7F800000;
  constexpr uint32_t kOverflow = 0x477FF000;        // 65520
  constexpr uint32_t kSmallestNormal = 0x38800000;  // 2^-14
  const uint32_t bits = BitsOfFloat(value);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > kInfinity) return 0x7FFF;
  if (magnitude >= kOverflow) return static_cast<uint16_t>(sign | 0x7C00);
  uint32_t half;
  if (magnitude < kSmallestNormal) {
    // Floats from 0.5 on lie as far apart as denormal halves, 2^-24: the
    // addition rounds.
    half = BitsOfFloat(FloatOfBits(magnitude) + 0.5F) - BitsOfFloat(0.5F);
  } else {
    // The exponent's bias is 112 less; a carry out of the mantissa belongs to
    // the exponent.
    const uint32_t odd = magnitude >> 13 & 1;
    half = (magnitude + 0xFFF + odd - (uint32_t{112} << 23)) >> 13;
  }
  return static_cast<uint16_t>(sign | half);
#endif
}

// Exact.
NEUMF_HOST_DEVICE float FloatOfHalf(uint16_t half) {
#ifdef __CUDA_ARCH__
  return __half2float(__ushort_as_half(half));
#else
  // The multiplication corrects the exponent's bias, of denormals too; only
  // infinity and NaN stay to be told apart.
  const uint32_t magnitude = uint32_t{half} << 13 & 0x0FFFE000;
  const float value = FloatOfBits(magnitude) * 0x1p112F;
  const uint32_t special = value >= 65536.0F ? 0x7F800000 : 0;
  const uint32_t sign = (uint32_t{half} & 0x8000) << 16;
  return FloatOfBits(BitsOfFloat(value) | special | sign);
#endif
}

// Two floats as halves in one word, `low` in its low bits.
NEUMF_HOST_DEVICE uint32_t PackHalves(float low, float high) {
  return uint32_t{HalfBits(high)} << 16 | HalfBits(low);
}

NEUMF_HOST_DEVICE float LowHalf(uint32_t word) {
  return FloatOfHalf(static_cast<uint16_t>(word));
}
NEUMF_HOST_DEVICE float HighHalf(uint32_t word) {
  return FloatOfHalf(static_cast<uint16_t>(word >> 16));
}

}  // namespace neumf::cuda
