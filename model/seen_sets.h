#pragma once

// For each user the items seen, in compressed rows: the items of user u are
// items[offsets[u]] .. items[offsets[u + 1] - 1], ascending, without repeats.
//
// Immutable after creation: any number of threads may read.

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace neumf {

class SeenSets {
 public:
  // Nobody has seen anything.
  SeenSets() = default;

  // `offsets` [U + 1] ascends from 0 to items.size(). INVALID_ARGUMENT names
  // the user row whose items do not ascend or reach `num_items`.
  static absl::StatusOr<SeenSets> Create(std::vector<uint64_t> offsets,
                                         std::vector<uint32_t> items,
                                         uint64_t num_items);

  // Ascending item rows; empty when there are no sets at all. REQUIRES:
  // user_row < U where sets were given.
  absl::Span<const uint32_t> row(uint64_t user_row) const {
    if (offsets_.empty()) return {};
    return absl::MakeConstSpan(items_.data() + offsets_[user_row],
                               offsets_[user_row + 1] - offsets_[user_row]);
  }

  bool empty() const { return offsets_.empty(); }
  absl::Span<const uint64_t> offsets() const { return offsets_; }
  absl::Span<const uint32_t> items() const { return items_; }
  uint64_t resident_bytes() const;

 private:
  std::vector<uint64_t> offsets_;
  std::vector<uint32_t> items_;
};

}  // namespace neumf
