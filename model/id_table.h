#pragma once

// External ids <-> rows. Ids lie in one block of bytes; no allocation a row.
//
//   NEUMF_ASSIGN_OR_RETURN(IdTable ids, IdTable::Create(offsets, bytes));
//   std::optional<uint32_t> row = ids.Find("movie-42");
//   absl::string_view id = ids.id(*row);
//
// Immutable after creation: any number of threads may read.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace neumf {

class IdTable {
 public:
  static constexpr size_t kMaxIdBytes = 256;

  IdTable() = default;

  // `offsets` [n + 1] ascends from 0 to bytes.size(); row r is the bytes from
  // offsets[r] to offsets[r + 1]. INVALID_ARGUMENT, naming the row, for an id
  // that is empty, longer than kMaxIdBytes, not UTF-8 or there twice.
  static absl::StatusOr<IdTable> Create(std::vector<uint64_t> offsets,
                                        std::string bytes);
  static absl::StatusOr<IdTable> FromIds(absl::Span<const std::string> ids);

  uint64_t size() const { return offsets_.empty() ? 0 : offsets_.size() - 1; }

  // Valid as long as the table. REQUIRES: row < size().
  absl::string_view id(uint64_t row) const {
    return absl::string_view(bytes_).substr(offsets_[row],
                                            offsets_[row + 1] - offsets_[row]);
  }

  // Bytes of the longest id; 0 without ids.
  size_t longest_id_bytes() const { return longest_id_bytes_; }

  std::optional<uint32_t> Find(absl::string_view id) const;

  absl::Span<const uint64_t> offsets() const { return offsets_; }  // [n + 1]
  absl::string_view bytes() const { return bytes_; }
  uint64_t resident_bytes() const;

 private:
  absl::Status CheckIds();
  absl::Status BuildIndex();

  std::vector<uint64_t> offsets_;
  std::string bytes_;
  size_t longest_id_bytes_ = 0;
  // Open addressing with linear probing; a slot holds row + 1, 0 when free. The
  // size is a power of two, at least twice the number of ids.
  std::vector<uint32_t> slots_;
};

}  // namespace neumf
