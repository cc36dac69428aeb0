#include "trainer/random.h"

#include <cmath>

namespace neumf {

uint64_t Random::Next() {
  state_ += 0x9e3779b97f4a7c15;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
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
