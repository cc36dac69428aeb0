#include "scoring/cpu/coarse_items.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace neumf {
namespace {

// Pieces of the catalog that threads take: large enough to keep them busy.
constexpr uint64_t kPieceBlocks = 4096;

// Nearest integer of a number that is far below 2^51: adding this leaves no
// bits for fractions. It needs no instruction beyond the baseline's.
constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52

uint64_t NumBlocks(const ModelShape& shape) {
  return (shape.num_items + kBlockItems - 1) / kBlockItems;
}

size_t NumQuads(const ModelShape& shape) {
  return (shape.tower_width() + kCoarseQuad - 1) / kCoarseQuad;
}

// Calls body(first, end, piece) for pieces of blocks.
template <typename Body>
void ForEachPiece(uint64_t num_blocks, ThreadPool* threads, const Body& body) {
  const uint64_t num_pieces = (num_blocks + kPieceBlocks - 1) / kPieceBlocks;
  const auto run = [&](size_t piece, size_t) {
    const uint64_t first = piece * kPieceBlocks;
    body(first, std::min(first + kPieceBlocks, num_blocks), piece);
  };
  if (threads != nullptr) return threads->ParallelFor(num_pieces, run);
  for (size_t piece = 0; piece < num_pieces; ++piece) run(piece, 0);
}

// Ranges of the values that stand in each place of some blocks: in a row, and
// in a lane, so that a block is compared at once.
struct PlaceRanges {
  std::vector<float> min;
  std::vector<float> max;
  std::vector<float> zero;  // times the values: NaN when one was not finite

  explicit PlaceRanges(size_t block_floats)
      : min(block_floats, std::numeric_limits<float>::max()),
        max(block_floats, std::numeric_limits<float>::lowest()),
        zero(block_floats) {}
};

// `num_items` lanes of `block`.
void AddBlock(const float* block, size_t num_items, PlaceRanges* ranges) {
  float* const min = ranges->min.data();
  float* const max = ranges->max.data();
  float* const zero = ranges->zero.data();
  const size_t block_floats = ranges->min.size();
  for (size_t row = 0; row < block_floats; row += kBlockItems) {
    for (size_t i = row; i < row + num_items; ++i) {
      min[i] = std::min(min[i], block[i]);
      max[i] = std::max(max[i], block[i]);
      zero[i] += 0 * block[i];
    }
  }
}

struct Range {
  float min = std::numeric_limits<float>::max();
  float max = std::numeric_limits<float>::lowest();
  bool finite = true;

  void AddRow(const PlaceRanges& ranges, size_t row) {
    for (size_t i = row * kBlockItems; i < (row + 1) * kBlockItems; ++i) {
      min = std::min(min, ranges.min[i]);
      max = std::max(max, ranges.max[i]);
      finite = finite && ranges.zero[i] == 0;
    }
  }
};

// Of the rows of the blocks.
std::vector<Range> FindRanges(uint64_t num_items, const PackedItems& items,
                              ThreadPool* threads) {
  const uint64_t num_blocks = items.num_blocks();
  std::vector<PlaceRanges> pieces(num_blocks / kPieceBlocks + 1,
                                  PlaceRanges(items.block_floats()));
  ForEachPiece(
      num_blocks, threads, [&](uint64_t first, uint64_t end, size_t piece) {
        for (uint64_t b = first; b < end; ++b) {
          const uint64_t left = num_items - b * kBlockItems;
          AddBlock(items.block(b), std::min<uint64_t>(left, kBlockItems),
                   &pieces[piece]);
        }
      });
  std::vector<Range> rows(items.block_floats() / kBlockItems);
  for (size_t r = 0; r < rows.size(); ++r) {
    for (const PlaceRanges& piece : pieces) rows[r].AddRow(piece, r);
  }
  return rows;
}

CoarseRanges MakeRanges(const ModelShape& shape,
                        const std::vector<Range>& rows) {
  CoarseRanges ranges;
  const size_t tower_width = shape.tower_width();
  for (size_t r = 0; r < rows.size(); ++r) {
    const Range& row = rows[r];
    ranges.finite = ranges.finite && row.finite;
    if (r < tower_width) {
      ranges.tower_min.push_back(row.min);
      ranges.tower_max.push_back(row.max);
      ranges.tower_scale.push_back((double{row.max} - row.min) / kCoarseLevels);
      continue;
    }
    const float largest = std::max(std::fabs(row.min), std::fabs(row.max));
    if (r < tower_width + shape.gmf_width) {
      ranges.gmf_largest.push_back(largest);
    } else {
      ranges.bias_largest = largest;
    }
  }
  return ranges;
}

}  // namespace

CoarseItems::CoarseItems(const ModelShape& shape, const PackedItems& items,
                         ThreadPool* threads)
    : ranges_(MakeRanges(shape, FindRanges(shape.num_items, items, threads))),
      quads_(NumQuads(shape)) {
  if (!ranges_.finite) return;
  bytes_ = AlignedArray<uint8_t>(items.num_blocks() * block_bytes());
  ForEachPiece(items.num_blocks(), threads,
               [&](uint64_t first, uint64_t end, size_t) {
                 for (uint64_t b = first; b < end; ++b) {
                   Quantize(items.block(b), bytes_.data() + b * block_bytes());
                 }
               });
}

uint64_t CoarseItems::MappedBytes(const ModelShape& shape) {
  return neumf::MappedBytes(
      NumBlocks(shape) * NumQuads(shape) * kCoarseQuad * kBlockItems, 1);
}

uint64_t CoarseItems::MakingBytes(const ModelShape& shape) {
  const uint64_t width = uint64_t{shape.tower_width()} + shape.gmf_width + 1;
  const uint64_t piece_bytes = 3 * width * kBlockItems * sizeof(float);
  return (NumBlocks(shape) / kPieceBlocks + 2) * piece_bytes;
}

void CoarseItems::Quantize(const float* block, uint8_t* to) const {
  for (size_t k = 0; k < ranges_.tower_min.size(); ++k, block += kBlockItems) {
    const double min = ranges_.tower_min[k];
    const double scale = ranges_.tower_scale[k];
    if (scale == 0) continue;
    uint8_t* const column =
        to + k / kCoarseQuad * kCoarseQuad * kBlockItems + k % kCoarseQuad;
    for (size_t i = 0; i < kBlockItems; ++i) {
      // Clamped for the lanes past the last item, which hold anything.
      const double steps =
          std::min(std::max((block[i] - min) / scale, 0.0), kCoarseLevels);
      column[i * kCoarseQuad] = static_cast<uint8_t>((steps + kRound) - kRound);
    }
  }
}

}  // namespace neumf
