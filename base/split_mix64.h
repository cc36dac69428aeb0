#pragma once

// The mixer of SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom
// Number Generators", 2014). Number n of a stream is Mix(seed + n * step). Our
// own, so that a seed means the same with any standard library.

#include <cstdint>

namespace neumf {

// The step of the counter: 2^64 over the golden ratio, odd.
inline constexpr uint64_t kSplitMix64Step = 0x9e3779b97f4a7c15;

constexpr uint64_t SplitMix64(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace neumf
