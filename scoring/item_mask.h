#pragma once

// One bit an item, set when the item is allowed.

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace neumf {

class ItemMask {
 public:
  // All bits clear.
  explicit ItemMask(uint64_t num_items)
      : num_items_(num_items), words_((num_items + 63) / 64) {}
  // All bits set.
  static ItemMask All(uint64_t num_items) {
    ItemMask mask(num_items);
    for (uint64_t& word : mask.words_) word = ~uint64_t{0};
    if (num_items % 64 != 0) {
      mask.words_.back() = (uint64_t{1} << (num_items % 64)) - 1;
    }
    return mask;
  }

  uint64_t num_items() const { return num_items_; }
  // REQUIRES (of these): row < num_items().
  void Set(uint64_t row) { words_[row / 64] |= uint64_t{1} << (row % 64); }
  void Clear(uint64_t row) { words_[row / 64] &= ~(uint64_t{1} << (row % 64)); }
  bool allows(uint64_t row) const {
    return (words_[row / 64] >> (row % 64) & 1) != 0;
  }

  // Bit r of word w is item 64 * w + r; bits past the last item are clear.
  absl::Span<const uint64_t> words() const { return words_; }

 private:
  uint64_t num_items_;
  std::vector<uint64_t> words_;
};

}  // namespace neumf
