#include "scoring/select_greatest.h"

#include <algorithm>
#include <functional>

namespace neumf {
namespace {

// Fewer keys than this are not worth parting.
constexpr size_t kFewKeys = 16;
// Rounds after which the pivots are too unlucky to go on.
constexpr int kMaxRounds = 40;

uint64_t MedianOfThree(const uint64_t* keys, size_t count) {
  const uint64_t a = keys[0];
  const uint64_t b = keys[count / 2];
  const uint64_t c = keys[count - 1];
  return std::max(std::min(a, b), std::min(std::max(a, b), c));
}

// Moves the keys above `pivot` to the front; returns how many they are. (Lomuto,
// as in Edelkamp and Weiss, "BlockQuicksort", 2016, section 3: no branch.)
size_t Part(uint64_t* keys, size_t count, uint64_t pivot) {
  size_t num_above = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint64_t key = keys[i];
    keys[i] = keys[num_above];
    keys[num_above] = key;
    num_above += key > pivot ? 1 : 0;
  }
  return num_above;
}

}  // namespace

void SelectGreatest(uint64_t* keys, size_t count, size_t k) {
  for (int round = 0; count > kFewKeys && round < kMaxRounds; ++round) {
    if (k == 0 || k >= count) return;
    // The median of three distinct keys has one above it and one below: both
    // parts are smaller than the whole.
    const size_t num_above = Part(keys, count, MedianOfThree(keys, count));
    if (num_above >= k) {
      count = num_above;
    } else {
      keys += num_above;
      count -= num_above;
      k -= num_above;
    }
  }
  if (k == 0 || k >= count) return;
  std::nth_element(keys, keys + k - 1, keys + count, std::greater<uint64_t>());
}

}  // namespace neumf
