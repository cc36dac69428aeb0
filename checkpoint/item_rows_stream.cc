#include "checkpoint/item_rows_stream.h"

#include <algorithm>
#include <utility>

#include "absl/types/span.h"
#include "base/aligned_matrix.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

// A value that is not finite never reaches the sink. Rows that have a wrong
// digest may: it is known only with the last byte of its chunk.
absl::Status Pass(const ItemRows& rows, uint32_t width, ItemRowsSink sink) {
  const auto values = absl::MakeConstSpan(rows.values, rows.num_rows * width);
  NEUMF_RETURN_IF_ERROR(AsDataLoss(
      CheckFinite(ItemTableName(rows.table), values, width, rows.first_row)));
  return sink(rows);
}

}  // namespace

absl::Status StreamItemRows(ItemTable table, uint64_t num_rows, uint32_t width,
                            size_t block_bytes, TensorStream* stream,
                            ItemRowsSink sink) {
  const char* const name = ItemTableName(table);
  const uint64_t rows_per_block =
      std::clamp<uint64_t>(block_bytes / (width * sizeof(float)), 1, num_rows);
  AlignedBuffer reading(rows_per_block * width);
  AlignedBuffer passing(rows_per_block * width);
  ItemRows rows;  // in `passing`
  rows.table = table;
  absl::Status passed;
  const auto pass = [&] {
    if (rows.num_rows > 0) passed = Pass(rows, width, sink);
  };
  for (uint64_t next = 0; next < num_rows; next += rows.num_rows) {
    const uint64_t count = std::min(rows_per_block, num_rows - next);
    const auto values = absl::MakeSpan(reading.data(), count * width);
    NEUMF_RETURN_IF_ERROR(
        AnnotateTensor(stream->Read(AsBytes(values), pass), name));
    NEUMF_RETURN_IF_ERROR(passed);
    std::swap(reading, passing);
    rows.first_row = next;
    rows.num_rows = count;
    rows.values = passing.data();
  }
  pass();
  NEUMF_RETURN_IF_ERROR(passed);
  return AnnotateTensor(stream->Finish(), name);
}

}  // namespace neumf
