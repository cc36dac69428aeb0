#pragma once

// The K greatest of some keys: quickselect without a branch on the keys, which
// are in no order that a processor could guess.

#include <cstddef>
#include <cstdint>

namespace neumf {

// Moves the `k` greatest of the `count` keys to the front, in any order. Linear
// on average; bad luck costs no more than std::nth_element does.
// REQUIRES: the keys are distinct.
void SelectGreatest(uint64_t* keys, size_t count, size_t k);

}  // namespace neumf
