#pragma once

// The item halves of the tower's first layer as 8-bit numbers, for the first
// pass: a quarter of the float32 columns.
//
// A block holds the same 16 items as the block of PackedItems with its index,
// as rows of 64 bytes: a 32-bit lane an item, in it four consecutive columns.
//
//   columns 0-3    | item 0: c0 c1 c2 c3 | item 1: c0 c1 c2 c3 | ... | item 15
//   columns 4-7    | ...
//
// Column k stands for minimum[k] + scale[k] * byte, at most scale[k] / 2 away
// from the float32 value. Columns past H hold zeros.
//
// Immutable after construction: any number of threads may read.

#include <cstdint>
#include <vector>

#include "base/aligned_matrix.h"
#include "base/thread_pool.h"
#include "model/serving_model.h"
#include "scoring/cpu/coarse_kernel.h"
#include "scoring/cpu/packed_items.h"

namespace neumf {

// The largest byte.
constexpr double kCoarseLevels = 255;

// Ranges of the item columns over the catalog.
struct CoarseRanges {
  std::vector<float> tower_min;     // [H]
  std::vector<float> tower_max;     // [H]
  std::vector<double> tower_scale;  // [H]; 0 where all items are equal
  std::vector<float> gmf_largest;   // [G] largest |value|
  float bias_largest = 0;
  bool finite = true;  // all values; else nothing here means anything
};

class CoarseItems {
 public:
  // `threads` may be null: the caller works alone. Holds no bytes when the
  // ranges are not finite.
  CoarseItems(const ModelShape& shape, const PackedItems& items,
              ThreadPool* threads);

  // What it takes of the system at most, and what its making takes beside that.
  static uint64_t MappedBytes(const ModelShape& shape);
  static uint64_t MakingBytes(const ModelShape& shape);

  const uint8_t* block(uint64_t index) const {
    return bytes_.data() + index * block_bytes();
  }
  size_t block_bytes() const { return quads_ * kCoarseQuad * kBlockItems; }
  const CoarseRanges& ranges() const { return ranges_; }
  uint64_t resident_bytes() const { return bytes_.size_bytes(); }

 private:
  void Quantize(const float* block, uint8_t* to) const;

  CoarseRanges ranges_;
  size_t quads_;  // rows of a block
  AlignedArray<uint8_t> bytes_;
};

}  // namespace neumf
