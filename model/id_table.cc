#include "model/id_table.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "model/row_offsets.h"
#include "model/serving_model.h"

namespace neumf {
namespace {

absl::Status RefuseRow(uint64_t row, absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat("row ", row, ": ", reason));
}

size_t HashOf(absl::string_view id) {
  return absl::Hash<absl::string_view>()(id);
}

// A power of two, at least twice `num_ids`.
size_t NumSlots(uint64_t num_ids) {
  size_t num_slots = 2;
  while (num_slots < 2 * num_ids) num_slots *= 2;
  return num_slots;
}

absl::Status CheckNumIds(absl::Span<const uint64_t> offsets) {
  static_assert(ModelLimits::kMaxUsers == ModelLimits::kMaxItems,
                "one limit for both kinds of table");
  if (offsets.size() <= ModelLimits::kMaxUsers + 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(offsets.size() - 1, " ids, more than the ",
                   ModelLimits::kMaxUsers, " allowed"));
}

}  // namespace

absl::StatusOr<IdTable> IdTable::Create(std::vector<uint64_t> offsets,
                                        std::string bytes) {
  NEUMF_RETURN_IF_ERROR(CheckNumIds(offsets));
  NEUMF_RETURN_IF_ERROR(CheckRowOffsets(offsets, bytes.size()));
  IdTable table;
  table.offsets_ = std::move(offsets);
  table.bytes_ = std::move(bytes);
  NEUMF_RETURN_IF_ERROR(table.CheckIds());
  NEUMF_RETURN_IF_ERROR(table.BuildIndex());
  return table;
}

absl::StatusOr<IdTable> IdTable::FromIds(absl::Span<const std::string> ids) {
  std::vector<uint64_t> offsets = {0};
  offsets.reserve(ids.size() + 1);
  std::string bytes;
  for (const std::string& id : ids) {
    bytes += id;
    offsets.push_back(bytes.size());
  }
  return Create(std::move(offsets), std::move(bytes));
}

absl::Status IdTable::CheckIds() {
  for (uint64_t row = 0; row < size(); ++row) {
    const absl::string_view text = id(row);
    if (text.empty()) return RefuseRow(row, "the id is empty");
    if (text.size() > kMaxIdBytes) {
      return RefuseRow(
          row, absl::StrCat("the id has ", text.size(),
                            " bytes, more than the ", kMaxIdBytes, " allowed"));
    }
    if (!IsValidUtf8(text)) return RefuseRow(row, "the id is not UTF-8");
    longest_id_bytes_ = std::max(longest_id_bytes_, text.size());
  }
  return absl::OkStatus();
}

absl::Status IdTable::BuildIndex() {
  slots_.assign(NumSlots(size()), 0);
  const size_t mask = slots_.size() - 1;
  for (uint64_t row = 0; row < size(); ++row) {
    size_t slot = HashOf(id(row)) & mask;
    for (; slots_[slot] != 0; slot = (slot + 1) & mask) {
      const uint64_t other = slots_[slot] - 1;
      if (id(other) == id(row)) {
        return RefuseRow(
            row, absl::StrCat("the id \"", absl::Utf8SafeCEscape(id(row)),
                              "\" is that of row ", other, " too"));
      }
    }
    slots_[slot] = static_cast<uint32_t>(row + 1);
  }
  return absl::OkStatus();
}

std::optional<uint32_t> IdTable::Find(absl::string_view id) const {
  if (slots_.empty()) return std::nullopt;
  const size_t mask = slots_.size() - 1;
  for (size_t slot = HashOf(id) & mask; slots_[slot] != 0;
       slot = (slot + 1) & mask) {
    const uint32_t row = slots_[slot] - 1;
    if (this->id(row) == id) return row;
  }
  return std::nullopt;
}

uint64_t IdTable::resident_bytes() const {
  return offsets_.capacity() * sizeof(offsets_[0]) + bytes_.capacity() +
         slots_.capacity() * sizeof(slots_[0]);
}

}  // namespace neumf
