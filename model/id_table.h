#pragma once

// External ids <-> rows. Ids lie in one block of bytes; no allocation a row.
//
//   NEUMF_ASSIGN_OR_RETURN(IdTable ids,
//                          IdTable::Create(offsets, bytes, threads));
//   std::optional<uint32_t> row = ids.Find("movie-42");
//   absl::string_view id = ids.id(*row);
//
// Rows in any order are found through an index of 8 to 16 bytes an id. Rows
// that ascend by IdHash() need none: their hashes, 8 bytes an id, are searched,
// which takes a few steps, since they are spread evenly.
//
// What is refused is INVALID_ARGUMENT, "part: row 7: reason", where the part at
// fault is offsets, bytes or hash. The same input gives the same text, whatever
// the threads did.
//
// Immutable after creation: any number of threads may read.

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/aligned_matrix.h"
#include "base/sha256.h"
#include "base/thread_pool.h"

namespace neumf {

class IdTable {
 public:
  static constexpr size_t kMaxIdBytes = 256;

  using HashFunction = uint64_t (*)(absl::string_view id);

  IdTable() = default;

  // `offsets` [n + 1] ascends from 0 to bytes.size(); row r is the bytes from
  // offsets[r] to offsets[r + 1]. Refuses an id that is empty, longer than
  // kMaxIdBytes, not UTF-8 or there twice.
  static absl::StatusOr<IdTable> Create(AlignedArray<uint64_t> offsets,
                                        AlignedArray<char> bytes,
                                        ThreadPool& threads);
  // For rows that ascend by `hash`. Refuses `hashes` [n] too that are not those
  // of the ids, or do not ascend. Another hash than IdHash() is for tests,
  // which cannot make its values collide.
  static absl::StatusOr<IdTable> CreateByHash(AlignedArray<uint64_t> offsets,
                                              AlignedArray<char> bytes,
                                              AlignedArray<uint64_t> hashes,
                                              ThreadPool& threads,
                                              HashFunction hash = IdHash);
  // The same two, of copies.
  static absl::StatusOr<IdTable> FromIds(absl::Span<const std::string> ids);
  static absl::StatusOr<IdTable> FromIdsByHash(
      absl::Span<const std::string> ids);

  uint64_t size() const { return offsets_.empty() ? 0 : offsets_.size() - 1; }

  // Valid as long as the table. REQUIRES: row < size().
  absl::string_view id(uint64_t row) const {
    return {bytes_.data() + offsets_[row], offsets_[row + 1] - offsets_[row]};
  }

  // Bytes of the longest id; 0 without ids.
  size_t longest_id_bytes() const { return longest_id_bytes_; }

  std::optional<uint32_t> Find(absl::string_view id) const;

  absl::Span<const uint64_t> offsets() const {  // [n + 1]
    return absl::MakeConstSpan(offsets_.data(), offsets_.size());
  }
  absl::string_view bytes() const { return {bytes_.data(), bytes_.size()}; }
  // [n] ascending; empty when rows are in any order.
  absl::Span<const uint64_t> hashes() const {
    return absl::MakeConstSpan(hashes_.data(), hashes_.size());
  }
  uint64_t resident_bytes() const;
  // What the index of Create() takes of the system.
  static uint64_t IndexBytes(uint64_t num_ids);

 private:
  // Takes the ids over and checks each of them, but not that they differ.
  static absl::StatusOr<IdTable> CheckIds(AlignedArray<uint64_t> offsets,
                                          AlignedArray<char> bytes,
                                          ThreadPool& threads);
  absl::Status CheckRange(uint64_t begin, uint64_t end) const;
  absl::Status CheckHashes(uint64_t begin, uint64_t end) const;
  // REQUIRES: CheckHashes() passed all rows.
  absl::Status CheckNeighbours(uint64_t begin, uint64_t end) const;
  absl::Status IndexAll(ThreadPool& threads);
  absl::Status Index(uint64_t begin, uint64_t end);
  absl::Status IndexRow(uint64_t row, size_t slot);
  // The first row whose hash is not below `hash`; size() when there is none.
  uint64_t FirstNotBelow(uint64_t hash) const;

  AlignedArray<uint64_t> offsets_;
  AlignedArray<char> bytes_;
  size_t longest_id_bytes_ = 0;
  HashFunction hash_ = IdHash;
  AlignedArray<uint64_t> hashes_;  // either these or slots_
  // Open addressing with linear probing; a slot holds row + 1, 0 when free. The
  // size is a power of two, at least twice the number of ids. Atomic for the
  // sake of the threads that fill it.
  AlignedArray<std::atomic<uint32_t>> slots_;
};

}  // namespace neumf
