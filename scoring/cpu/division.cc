#include "scoring/cpu/division.h"

#include <algorithm>

#include "scoring/cpu/catalog_scan.h"

namespace neumf {
namespace {

// A piece stays in the second-level cache, with room for a user's vectors and
// the weights.
constexpr size_t kPieceBytes = 256 << 10;
// With fewer shares than this a thread would wait for the last one too long.
constexpr size_t kMinSharesPerThread = 4;

}  // namespace

Division Divide(uint64_t num_blocks, size_t block_floats, size_t num_scans,
                size_t num_threads) {
  constexpr uint64_t kAlign = CatalogScan::kAlignBlocks;
  const auto pieces_of = [&](uint64_t blocks) {
    Division division;
    division.piece_blocks = std::max(blocks / kAlign * kAlign, kAlign);
    division.num_pieces =
        (num_blocks + division.piece_blocks - 1) / division.piece_blocks;
    return division;
  };
  Division division = pieces_of(kPieceBytes / (block_floats * sizeof(float)));
  const size_t wanted = kMinSharesPerThread * num_threads;
  if (num_threads == 1 || division.num_pieces >= wanted) return division;
  // A small catalog: by users first, who need no merging, then by items.
  const size_t num_parts = std::clamp<size_t>(num_scans, 1, wanted);
  if (division.num_pieces * num_parts < wanted) {
    division = pieces_of(num_blocks * num_parts / wanted);
  }
  division.num_parts = num_parts;
  return division;
}

}  // namespace neumf
