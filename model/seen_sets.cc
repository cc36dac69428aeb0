#include "model/seen_sets.h"

#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "model/row_offsets.h"

namespace neumf {
namespace {

absl::Status RefuseRow(uint64_t user_row, absl::string_view reason) {
  return absl::InvalidArgumentError(
      absl::StrCat("user row ", user_row, ": ", reason));
}

// Without an early exit, so that the loop is vectorized.
bool Ascends(absl::Span<const uint32_t> items) {
  const uint32_t* const item = items.data();
  const size_t count = items.size();
  uint32_t misplaced = 0;
  for (size_t i = 1; i < count; ++i) {
    misplaced |= static_cast<uint32_t>(item[i - 1] >= item[i]);
  }
  return misplaced == 0;
}

}  // namespace

absl::StatusOr<SeenSets> SeenSets::Create(std::vector<uint64_t> offsets,
                                          std::vector<uint32_t> items,
                                          uint64_t num_items) {
  NEUMF_RETURN_IF_ERROR(CheckRowOffsets(offsets, items.size()));
  SeenSets sets;
  sets.offsets_ = std::move(offsets);
  sets.items_ = std::move(items);
  for (uint64_t user_row = 0; user_row + 1 < sets.offsets_.size(); ++user_row) {
    const absl::Span<const uint32_t> row = sets.row(user_row);
    if (!Ascends(row)) return RefuseRow(user_row, "items do not ascend");
    if (!row.empty() && row.back() >= num_items) {
      return RefuseRow(user_row, absl::StrCat("item row ", row.back(), " of ",
                                              num_items, " items"));
    }
  }
  return sets;
}

uint64_t SeenSets::resident_bytes() const {
  return offsets_.capacity() * sizeof(offsets_[0]) +
         items_.capacity() * sizeof(items_[0]);
}

}  // namespace neumf
