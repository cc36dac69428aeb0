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

absl::StatusOr<SeenSets> SeenSets::Create(AlignedArray<uint64_t> offsets,
                                          AlignedArray<uint32_t> items,
                                          uint64_t num_items,
                                          ThreadPool& threads) {
  NEUMF_RETURN_IF_ERROR(CheckRowOffsets(
      absl::MakeConstSpan(offsets.data(), offsets.size()), items.size()));
  SeenSets sets;
  sets.num_items_ = num_items;
  sets.offsets_ = std::move(offsets);
  sets.items_ = std::move(items);
  NEUMF_RETURN_IF_ERROR(ForRowRanges(threads, sets.offsets_.size() - 1,
                                     [&](uint64_t begin, uint64_t end) {
                                       return sets.CheckRows(begin, end);
                                     }));
  return sets;
}

absl::StatusOr<SeenSets> SeenSets::FromRows(absl::Span<const uint64_t> offsets,
                                            absl::Span<const uint32_t> items,
                                            uint64_t num_items) {
  ThreadPool caller(1, "");
  return Create(AlignedArray<uint64_t>::CopyOf(offsets),
                AlignedArray<uint32_t>::CopyOf(items), num_items, caller);
}

absl::Status SeenSets::CheckRows(uint64_t begin, uint64_t end) const {
  for (uint64_t user_row = begin; user_row < end; ++user_row) {
    const absl::Span<const uint32_t> items = row(user_row);
    if (!Ascends(items)) return RefuseRow(user_row, "items do not ascend");
    if (!items.empty() && items.back() >= num_items_) {
      return RefuseRow(user_row, absl::StrCat("item row ", items.back(), " of ",
                                              num_items_, " items"));
    }
  }
  return absl::OkStatus();
}

uint64_t SeenSets::resident_bytes() const {
  return offsets_.size_bytes() + items_.size_bytes();
}

}  // namespace neumf
