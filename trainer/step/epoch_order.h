#pragma once

// The order in which an epoch sees its examples: a function of seed and epoch.

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "trainer/random.h"

namespace neumf {

// Fisher and Yates. Of vectors of the same size it makes the same permutation,
// whatever they hold.
template <class Example>
void ShuffleForEpoch(uint64_t seed, uint32_t epoch,
                     std::vector<Example>* examples) {
  Random random(Random(seed ^ (uint64_t{epoch} << 32)).Next());
  for (size_t left = examples->size(); left > 1; --left) {
    std::swap((*examples)[left - 1],
              (*examples)[random.Below(static_cast<uint32_t>(left))]);
  }
}

}  // namespace neumf
