#pragma once

// For each user the items seen, in compressed rows: the items of user u are
// items[offsets[u]] .. items[offsets[u + 1] - 1], ascending, without repeats.
//
// Immutable after creation: any number of threads may read.

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/aligned_matrix.h"
#include "base/thread_pool.h"

namespace neumf {

class SeenSets {
 public:
  // Nobody has seen anything.
  SeenSets() = default;

  // `offsets` [U + 1] ascends from 0 to items.size(). INVALID_ARGUMENT names
  // the first user row whose items do not ascend or reach `num_items`.
  static absl::StatusOr<SeenSets> Create(AlignedArray<uint64_t> offsets,
                                         AlignedArray<uint32_t> items,
                                         uint64_t num_items,
                                         ThreadPool& threads);
  // Likewise, of copies.
  static absl::StatusOr<SeenSets> FromRows(absl::Span<const uint64_t> offsets,
                                           absl::Span<const uint32_t> items,
                                           uint64_t num_items);

  // Ascending item rows; empty when there are no sets at all. REQUIRES:
  // user_row < U where sets were given.
  absl::Span<const uint32_t> row(uint64_t user_row) const {
    if (offsets_.empty()) return {};
    return absl::MakeConstSpan(items_.data() + offsets_[user_row],
                               offsets_[user_row + 1] - offsets_[user_row]);
  }

  bool empty() const { return offsets_.empty(); }
  // All items are below it.
  uint64_t num_items() const { return num_items_; }
  absl::Span<const uint64_t> offsets() const {
    return absl::MakeConstSpan(offsets_.data(), offsets_.size());
  }
  absl::Span<const uint32_t> items() const {
    return absl::MakeConstSpan(items_.data(), items_.size());
  }
  uint64_t resident_bytes() const;

 private:
  absl::Status CheckRows(uint64_t begin, uint64_t end) const;

  uint64_t num_items_ = 0;
  AlignedArray<uint64_t> offsets_;
  AlignedArray<uint32_t> items_;
};

}  // namespace neumf
