#include "server/load_memory.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/aligned_matrix.h"
#include "server/background_scoring.h"

namespace neumf {
namespace {

// What malloc, stacks and the probes' answers take beside the tables.
constexpr uint64_t kFixedBytes = uint64_t{4} << 20;
constexpr uint64_t kThreadBytes = uint64_t{256} << 10;

template <typename T>
uint64_t Mapped(uint64_t count) {
  return MappedBytes(count, sizeof(T));
}

// Offsets, bytes and what ids are found by.
uint64_t IdTableBytes(uint64_t num_ids, uint64_t num_bytes, bool has_hashes) {
  return Mapped<uint64_t>(num_ids + 1) + Mapped<char>(num_bytes) +
         (has_hashes ? Mapped<uint64_t>(num_ids)
                     : IdTable::IndexBytes(num_ids));
}

uint64_t TableBytes(const CheckpointContent& content, const ModelParts& kept) {
  const ModelShape& shape = content.shape;
  uint64_t bytes = 0;
  if (!kept.user_tables) {
    const size_t value_bytes =
        content.has_float16_users ? sizeof(Float16) : sizeof(float);
    bytes += MappedBytes(shape.num_users * shape.gmf_width, value_bytes) +
             MappedBytes(shape.num_users * shape.tower_width(), value_bytes);
  }
  if (!kept.user_ids) {
    bytes += IdTableBytes(shape.num_users, content.user_id_bytes,
                          content.has_user_hashes);
  }
  if (!kept.item_ids) {
    bytes += IdTableBytes(shape.num_items, content.item_id_bytes,
                          /*has_hashes=*/false);
  }
  if (content.has_seen && !kept.seen) {
    bytes += Mapped<uint64_t>(shape.num_users + 1) +
             Mapped<uint32_t>(content.num_seen);
  }
  return bytes;
}

}  // namespace

LoadMemory PredictLoadMemory(const CheckpointReader& reader,
                             const ScorerMemory& scorer, size_t num_threads,
                             const ModelParts& kept) {
  const CheckpointContent& content = reader.content();
  const uint64_t num_popular =
      content.has_popularity && !kept.popularity ? content.shape.num_items : 0;
  const uint64_t ranking_bytes = num_popular * sizeof(ScoredRow);
  const uint64_t kept_bytes = TableBytes(content, kept) + scorer.kept_bytes +
                              ranking_bytes + kFixedBytes +
                              num_threads * kThreadBytes;
  const uint64_t warm_up_bytes = kBackgroundUsers * scorer.user_bytes;
  // One block is packed while the next one is read; what is made of the items
  // comes after that, and the first queries after both.
  const uint64_t reading_bytes =
      num_popular * sizeof(float) +
      std::max(2 * Mapped<char>(reader.block_bytes()), scorer.making_bytes);
  LoadMemory memory;
  memory.resident_bytes = kept_bytes + warm_up_bytes;
  memory.peak_bytes = kept_bytes + std::max(warm_up_bytes, reading_bytes);
  return memory;
}

absl::Status CheckBudget(const LoadMemory& needed,
                         const AvailableMemory& available) {
  const uint64_t budget = available.bytes - available.bytes / 10;
  if (needed.peak_bytes <= budget) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "needs ", needed.peak_bytes, " bytes of memory while it is loaded and ",
      needed.resident_bytes, " after that; of the ", available.bytes, " that ",
      available.limit, " leaves, ", budget, " may be taken"));
}

}  // namespace neumf
