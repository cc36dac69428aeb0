#include "trainer/step/dropout.h"

namespace neumf {
namespace {

// The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace

void ApplyDropout(double rate, uint64_t seed, uint64_t first, size_t count,
                  float* x) {
  if (rate <= 0) return;
  const auto threshold = static_cast<uint64_t>(rate * 4294967296.0);
  const auto scale = static_cast<float>(1 / (1 - rate));
  const uint64_t base = Mix(seed + 0x9E3779B97F4A7C15);
  for (size_t i = 0; i < count; ++i) {
    const uint64_t bits = Mix(base + (first + i) * 0x9E3779B97F4A7C15) >> 32;
    x[i] = bits < threshold ? 0.0F : x[i] * scale;
  }
}

}  // namespace neumf
