#include "trainer/random.h"

#include <cmath>

#include "base/split_mix64.h"

namespace neumf {

uint64_t Random::Next() {
  state_ += kSplitMix64Step;
  return SplitMix64(state_);
}

uint32_t Random::Below(uint32_t bound) {
  // Lemire's method: the high half of a product is uniform once the few low
  // halves that would be over-represented are drawn again.
  const uint32_t num_overrepresented = -bound % bound;
  uint64_t product;
  do {
    product = (Next() >> 32) * bound;
  } while (static_cast<uint32_t>(product) < num_overrepresented);
  return static_cast<uint32_t>(product >> 32);
}

double Random::Uniform(double low, double high) {
  const double unit = static_cast<double>(Next() >> 11) * 0x1p-53;
  return low + (high - low) * unit;
}

double Random::Normal() {
  // Box-Muller; 1 - u is never 0.
  const double radius = std::sqrt(-2 * std::log(1 - Uniform(0, 1)));
  return radius * std::cos(Uniform(0, 2 * M_PI));
}

}  // namespace neumf
