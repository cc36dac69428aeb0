#include "data/user_draws.h"

#include <utility>

#include "base/sha256.h"

namespace neumf {
namespace {

// The finalizer of SplitMix64 (Steele, Lea, Flood: "Fast Splittable
// Pseudorandom Number Generators", 2014).
uint64_t Mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

constexpr uint64_t kStep = 0x9e3779b97f4a7c15;

}  // namespace

UserDraws::UserDraws(uint64_t seed, uint64_t purpose, absl::string_view user_id)
    : state_(Mix(Mix(seed + kStep) + purpose) ^ IdHash(user_id)) {}

uint32_t UserDraws::Below(uint32_t bound) {
  // The high half of a product is uniform once the few low halves that would be
  // over-represented are drawn again.
  const uint32_t num_overrepresented = -bound % bound;
  uint64_t product;
  do {
    state_ += kStep;
    product = (Mix(state_) >> 32) * bound;
  } while (static_cast<uint32_t>(product) < num_overrepresented);
  return static_cast<uint32_t>(product >> 32);
}

void UserDraws::MoveSampleToFront(size_t count, std::vector<uint32_t>* values) {
  for (size_t k = 0; k < count; ++k) {
    const auto left = static_cast<uint32_t>(values->size() - k);
    std::swap((*values)[k], (*values)[k + Below(left)]);
  }
}

}  // namespace neumf
