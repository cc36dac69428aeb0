#include "bench/gpu/large_catalog.h"

#include <algorithm>
#include <cmath>

#include "base/aligned_matrix.h"
#include "base/split_mix64.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

constexpr float kNoise = 0.3F;  // standard deviations of a column
// Rows that are made at a time, and by a thread.
constexpr uint64_t kChunkRows = 1 << 18;
constexpr uint64_t kPieceRows = 1 << 12;

// Of a column of `values` [num_rows, width].
float StandardDeviation(const float* values, uint64_t num_rows, uint32_t width,
                        uint32_t column) {
  double sum = 0;
  double squares = 0;
  for (uint64_t r = 0; r < num_rows; ++r) {
    const double value = values[r * width + column];
    sum += value;
    squares += value * value;
  }
  const auto n = static_cast<double>(num_rows);
  const double variance = squares / n - sum / n * (sum / n);
  return static_cast<float>(std::sqrt(std::max(variance, 0.0)));
}

// Of mean 0 and standard deviation 1: the sum of two even distributions, which
// is cheap and near enough to a Gaussian one.
float DrawNoise(uint64_t key) {
  const uint64_t bits = SplitMix64(key * kSplitMix64Step);
  const auto high = static_cast<float>(bits >> 40);
  const auto low = static_cast<float>(bits & 0xFFFFFF);
  constexpr float kSqrt6 = 2.4494897F;
  return ((high + low) * 0x1p-24F - 1) * kSqrt6;
}

}  // namespace

LargeCatalog::Table LargeCatalog::MakeTable(ItemTable table,
                                            const float* values,
                                            uint64_t num_rows, uint32_t width) {
  Table made{table, values, width, {}};
  for (uint32_t c = 0; c < width; ++c) {
    made.noise.push_back(kNoise *
                         StandardDeviation(values, num_rows, width, c));
  }
  return made;
}

LargeCatalog::LargeCatalog(const BenchModel& model, uint64_t num_items)
    : shape_(model.shape), num_rows_(model.shape.num_items) {
  shape_.num_items = num_items;
  const auto add = [&](ItemTable table, const float* values, uint32_t width) {
    if (width > 0) {
      tables_.push_back(MakeTable(table, values, num_rows_, width));
    }
  };
  add(ItemTable::kTower, model.items.tower.data(), shape_.tower_width());
  add(ItemTable::kGmf, model.items.gmf.data(), shape_.gmf_width);
  add(ItemTable::kBias, model.items.bias.data(), shape_.has_item_bias ? 1 : 0);
}

absl::Status LargeCatalog::Stream(ThreadPool& threads,
                                  ItemRowsSink sink) const {
  for (const Table& table : tables_) {
    AlignedMatrix chunk(kChunkRows, table.width);
    for (uint64_t first = 0; first < shape_.num_items; first += kChunkRows) {
      const uint64_t count = std::min(kChunkRows, shape_.num_items - first);
      const uint64_t num_pieces = (count + kPieceRows - 1) / kPieceRows;
      threads.ParallelFor(num_pieces, [&](size_t piece, size_t /*thread*/) {
        const uint64_t end = std::min((piece + 1) * kPieceRows, count);
        for (uint64_t r = piece * kPieceRows; r < end; ++r) {
          FillRow(table, first + r, chunk.data() + r * table.width);
        }
      });
      NEUMF_RETURN_IF_ERROR(sink({table.table, first, count, chunk.data()}));
    }
  }
  return absl::OkStatus();
}

void LargeCatalog::FillRow(const Table& table, uint64_t row, float* to) const {
  const float* const from = table.values + row % num_rows_ * table.width;
  if (row < num_rows_) {
    std::copy_n(from, table.width, to);
    return;
  }
  const uint64_t key =
      row * 2 * ModelLimits::kMaxWidth +
      static_cast<uint64_t>(table.table) * ModelLimits::kMaxWidth;
  for (uint32_t c = 0; c < table.width; ++c) {
    to[c] = from[c] + table.noise[c] * DrawNoise(key + c);
  }
}

}  // namespace neumf
