#pragma once

// Bits of a warp's ballot, and of keys.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"

namespace neumf::cuda {

NEUMF_HOST_DEVICE uint32_t CountBits(uint32_t bits) {
#ifdef __CUDA_ARCH__
  return __popc(bits);
#else
  return static_cast<uint32_t>(__builtin_popcount(bits));
#endif
}

// The number of the lowest bit that is set. REQUIRES: there is one.
NEUMF_HOST_DEVICE uint32_t LowestBit(uint32_t bits) {
#ifdef __CUDA_ARCH__
  return __ffs(static_cast<int>(bits)) - 1;
#else
  return static_cast<uint32_t>(__builtin_ctz(bits));
#endif
}

// The least number of low bits that hold `value`; 0 for 0.
NEUMF_HOST_DEVICE uint32_t BitWidth(uint64_t value) {
#ifdef __CUDA_ARCH__
  return 64 - static_cast<uint32_t>(__clzll(static_cast<int64_t>(value)));
#else
  return value == 0 ? 0 : 64 - static_cast<uint32_t>(__builtin_clzll(value));
#endif
}

// Bits of the lanes below `lane`.
NEUMF_HOST_DEVICE constexpr uint32_t LanesBelow(uint32_t lane) {
  return (uint32_t{1} << lane) - 1;
}

}  // namespace neumf::cuda
