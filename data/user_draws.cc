#include "data/user_draws.h"

#include <utility>

#include "base/sha256.h"
#include "base/split_mix64.h"

namespace neumf {
UserDraws::UserDraws(uint64_t seed, uint64_t purpose, absl::string_view user_id)
    : state_(SplitMix64(SplitMix64(seed + kSplitMix64Step) + purpose) ^
             IdHash(user_id)) {}

uint32_t UserDraws::Below(uint32_t bound) {
  // The high half of a product is uniform once the few low halves that would be
  // over-represented are drawn again.
  const uint32_t num_overrepresented = -bound % bound;
  uint64_t product;
  do {
    state_ += kSplitMix64Step;
    product = (SplitMix64(state_) >> 32) * bound;
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
