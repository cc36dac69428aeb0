#include "model/id_table.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "model/row_offsets.h"
#include "model/serving_model.h"

namespace neumf {
namespace {

constexpr char kOffsetsPart[] = "offsets";
constexpr char kBytesPart[] = "bytes";
constexpr char kHashPart[] = "hash";

absl::Status RefuseRow(uint64_t row, absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat("row ", row, ": ", reason));
}

absl::Status RefuseRepeated(absl::string_view id, uint64_t row,
                            uint64_t other) {
  return RefuseRow(
      std::max(row, other),
      absl::StrCat("the id \"", absl::Utf8SafeCEscape(id), "\" is that of row ",
                   std::min(row, other), " too"));
}

size_t HashOf(absl::string_view id) {
  return absl::Hash<absl::string_view>()(id);
}

// A power of two, at least twice `num_ids`.
uint64_t NumSlots(uint64_t num_ids) {
  uint64_t num_slots = 2;
  while (num_slots < 2 * num_ids) num_slots *= 2;
  return num_slots;
}

absl::Status CheckOffsets(const AlignedArray<uint64_t>& offsets,
                          uint64_t num_bytes) {
  static_assert(ModelLimits::kMaxUsers == ModelLimits::kMaxItems,
                "one limit for both kinds of table");
  if (offsets.size() > ModelLimits::kMaxUsers + 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(offsets.size() - 1, " ids, more than the ",
                     ModelLimits::kMaxUsers, " allowed"));
  }
  return CheckRowOffsets(absl::MakeConstSpan(offsets.data(), offsets.size()),
                         num_bytes);
}

size_t LongestRow(const AlignedArray<uint64_t>& offsets) {
  uint64_t longest = 0;
  for (size_t row = 0; row + 1 < offsets.size(); ++row) {
    longest = std::max(longest, offsets[row + 1] - offsets[row]);
  }
  return longest;
}

struct JoinedIds {
  AlignedArray<uint64_t> offsets;
  AlignedArray<char> bytes;
};

JoinedIds Join(absl::Span<const std::string> ids) {
  JoinedIds joined;
  joined.offsets = AlignedArray<uint64_t>(ids.size() + 1);
  for (size_t row = 0; row < ids.size(); ++row) {
    joined.offsets[row + 1] = joined.offsets[row] + ids[row].size();
  }
  joined.bytes = AlignedArray<char>(joined.offsets[ids.size()]);
  char* to = joined.bytes.data();
  for (const std::string& id : ids) to = std::copy(id.begin(), id.end(), to);
  return joined;
}

}  // namespace

absl::StatusOr<IdTable> IdTable::Create(AlignedArray<uint64_t> offsets,
                                        AlignedArray<char> bytes,
                                        ThreadPool& threads) {
  NEUMF_ASSIGN_OR_RETURN(
      IdTable table, CheckIds(std::move(offsets), std::move(bytes), threads));
  NEUMF_RETURN_IF_ERROR(Annotate(table.IndexAll(threads), kBytesPart));
  return table;
}

absl::StatusOr<IdTable> IdTable::CreateByHash(AlignedArray<uint64_t> offsets,
                                              AlignedArray<char> bytes,
                                              AlignedArray<uint64_t> hashes,
                                              ThreadPool& threads,
                                              HashFunction hash) {
  NEUMF_ASSIGN_OR_RETURN(
      IdTable table, CheckIds(std::move(offsets), std::move(bytes), threads));
  if (hashes.size() != table.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        kHashPart, ": ", hashes.size(), " hashes for ", table.size(), " ids"));
  }
  table.hash_ = hash;
  table.hashes_ = std::move(hashes);
  const auto check_hashes = [&](uint64_t begin, uint64_t end) {
    return table.CheckHashes(begin, end);
  };
  const auto check_neighbours = [&](uint64_t begin, uint64_t end) {
    return table.CheckNeighbours(begin, end);
  };
  NEUMF_RETURN_IF_ERROR(
      Annotate(ForRowRanges(threads, table.size(), check_hashes), kHashPart));
  NEUMF_RETURN_IF_ERROR(Annotate(
      ForRowRanges(threads, table.size(), check_neighbours), kBytesPart));
  return table;
}

absl::StatusOr<IdTable> IdTable::FromIds(absl::Span<const std::string> ids) {
  JoinedIds joined = Join(ids);
  ThreadPool caller(1, "");
  return Create(std::move(joined.offsets), std::move(joined.bytes), caller);
}

absl::StatusOr<IdTable> IdTable::FromIdsByHash(
    absl::Span<const std::string> ids) {
  AlignedArray<uint64_t> hashes(ids.size());
  std::transform(ids.begin(), ids.end(), hashes.begin(), IdHash);
  JoinedIds joined = Join(ids);
  ThreadPool caller(1, "");
  return CreateByHash(std::move(joined.offsets), std::move(joined.bytes),
                      std::move(hashes), caller);
}

absl::StatusOr<IdTable> IdTable::CheckIds(AlignedArray<uint64_t> offsets,
                                          AlignedArray<char> bytes,
                                          ThreadPool& threads) {
  NEUMF_RETURN_IF_ERROR(
      Annotate(CheckOffsets(offsets, bytes.size()), kOffsetsPart));
  IdTable table;
  table.longest_id_bytes_ = LongestRow(offsets);
  table.offsets_ = std::move(offsets);
  table.bytes_ = std::move(bytes);
  const auto check = [&](uint64_t begin, uint64_t end) {
    return table.CheckRange(begin, end);
  };
  NEUMF_RETURN_IF_ERROR(
      Annotate(ForRowRanges(threads, table.size(), check), kBytesPart));
  return table;
}

absl::Status IdTable::CheckRange(uint64_t begin, uint64_t end) const {
  for (uint64_t row = begin; row < end; ++row) {
    const absl::string_view text = id(row);
    if (text.empty()) return RefuseRow(row, "the id is empty");
    if (text.size() > kMaxIdBytes) {
      return RefuseRow(
          row, absl::StrCat("the id has ", text.size(),
                            " bytes, more than the ", kMaxIdBytes, " allowed"));
    }
    if (!IsValidUtf8(text)) return RefuseRow(row, "the id is not UTF-8");
  }
  return absl::OkStatus();
}

absl::Status IdTable::CheckHashes(uint64_t begin, uint64_t end) const {
  for (uint64_t row = begin; row < end; ++row) {
    if (hashes_[row] != hash_(id(row))) {
      return RefuseRow(row, "the hash is not that of the id");
    }
    if (row > 0 && hashes_[row - 1] > hashes_[row]) {
      return RefuseRow(row, "the hashes do not ascend");
    }
  }
  return absl::OkStatus();
}

absl::Status IdTable::CheckNeighbours(uint64_t begin, uint64_t end) const {
  for (uint64_t row = begin; row < end; ++row) {
    // Equal ids have equal hashes, which stand side by side.
    for (uint64_t other = row; other-- > 0 && hashes_[other] == hashes_[row];) {
      if (id(other) == id(row)) return RefuseRepeated(id(row), row, other);
    }
  }
  return absl::OkStatus();
}

absl::Status IdTable::IndexAll(ThreadPool& threads) {
  slots_ = AlignedArray<std::atomic<uint32_t>>(NumSlots(size()));
  const absl::Status indexed = ForRowRanges(
      threads, size(),
      [&](uint64_t begin, uint64_t end) { return Index(begin, end); });
  if (indexed.ok()) return indexed;
  // Which repeat was met, and from which side, is the threads' chance. In the
  // order of rows it is the first one.
  for (std::atomic<uint32_t>& slot : slots_) {
    slot.store(0, std::memory_order_relaxed);
  }
  return Index(0, size());
}

absl::Status IdTable::Index(uint64_t begin, uint64_t end) {
  // Slots lie anywhere: a group of them is fetched at once, so that the waits
  // for memory overlap.
  constexpr uint64_t kGroupRows = 16;
  std::array<size_t, kGroupRows> slots;
  for (uint64_t first = begin; first < end; first += kGroupRows) {
    const uint64_t count = std::min(kGroupRows, end - first);
    for (uint64_t i = 0; i < count; ++i) {
      slots[i] = HashOf(id(first + i)) & (slots_.size() - 1);
      __builtin_prefetch(&slots_[slots[i]], 1);
    }
    for (uint64_t i = 0; i < count; ++i) {
      NEUMF_RETURN_IF_ERROR(IndexRow(first + i, slots[i]));
    }
  }
  return absl::OkStatus();
}

absl::Status IdTable::IndexRow(uint64_t row, size_t slot) {
  for (;; slot = (slot + 1) & (slots_.size() - 1)) {
    uint32_t held = slots_[slot].load(std::memory_order_relaxed);
    if (held == 0 &&
        slots_[slot].compare_exchange_strong(
            held, static_cast<uint32_t>(row + 1), std::memory_order_relaxed)) {
      return absl::OkStatus();
    }
    // Here `held` is what stands there, even if another thread was faster.
    const uint64_t other = held - 1;
    if (id(other) == id(row)) return RefuseRepeated(id(row), row, other);
  }
}

std::optional<uint32_t> IdTable::Find(absl::string_view id) const {
  if (!hashes_.empty()) {
    const uint64_t hash = hash_(id);
    for (uint64_t row = FirstNotBelow(hash);
         row < size() && hashes_[row] == hash; ++row) {
      if (this->id(row) == id) return static_cast<uint32_t>(row);
    }
    return std::nullopt;
  }
  if (slots_.empty()) return std::nullopt;
  const size_t mask = slots_.size() - 1;
  for (size_t slot = HashOf(id) & mask;; slot = (slot + 1) & mask) {
    const uint32_t held = slots_[slot].load(std::memory_order_relaxed);
    if (held == 0) return std::nullopt;
    if (this->id(held - 1) == id) return held - 1;
  }
}

uint64_t IdTable::FirstNotBelow(uint64_t hash) const {
  // What is looked for stands in [low, high]; the hashes there are in
  // [smallest, largest].
  uint64_t low = 0;
  uint64_t high = size();
  uint64_t smallest = 0;
  uint64_t largest = ~uint64_t{0};
  // Guesses come close in a few steps unless the ids were chosen to defy them;
  // then halving ends it.
  constexpr int kGuesses = 8;
  for (int step = 0; low < high; ++step) {
    // Both are 0 where the smallest hash there can be is looked for.
    const uint64_t span = std::max<uint64_t>(largest - smallest, 1);
    const double place =
        static_cast<double>(hash - smallest) / static_cast<double>(span);
    const auto guess =
        static_cast<uint64_t>(place * static_cast<double>(high - low));
    const uint64_t middle =
        low +
        (step < kGuesses ? std::min(guess, high - low - 1) : (high - low) / 2);
    if (hashes_[middle] < hash) {
      low = middle + 1;
      smallest = hashes_[middle];
    } else {
      high = middle;
      largest = hashes_[middle];
    }
  }
  return low;
}

uint64_t IdTable::IndexBytes(uint64_t num_ids) {
  return MappedBytes(NumSlots(num_ids), sizeof(std::atomic<uint32_t>));
}

uint64_t IdTable::resident_bytes() const {
  return offsets_.size_bytes() + bytes_.size_bytes() + hashes_.size_bytes() +
         slots_.size_bytes();
}

}  // namespace neumf
