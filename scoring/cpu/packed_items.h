#pragma once

// The item tables of a catalog in blocks of 16 items; block_kernel.h draws one.
//
// One arena holds all blocks, so a scan reads memory in one direction. Rows of
// items are implicit: item 16 b + l is lane l of block b.

#include <cstdint>

#include "base/aligned_matrix.h"
#include "model/serving_model.h"
#include "scoring/cpu/block_kernel.h"

namespace neumf {

// Filled by one call at a time, from any thread, then read by any number of
// threads.
class PackedItems {
 public:
  // Room for all items, filled with zeros.
  explicit PackedItems(const ModelShape& shape);

  // What it takes of the system.
  static uint64_t MappedBytes(const ModelShape& shape);

  // Copies `rows`. REQUIRES: they are of a table of the shape, below I.
  void Store(const ItemRows& rows);

  // Copies an item into lane `lane` of `block` [block_floats].
  void Gather(uint32_t item, size_t lane, float* block) const;

  const float* block(uint64_t index) const {
    return arena_.data() + index * block_floats();
  }
  uint64_t num_blocks() const { return num_blocks_; }
  size_t block_floats() const { return block_rows_ * kBlockItems; }
  uint64_t resident_bytes() const { return arena_.size() * sizeof(float); }

 private:
  // Where column 0 of item `item` begins among the rows of `table`.
  float* Place(ItemTable table, uint64_t item);

  size_t tower_width_;
  size_t gmf_width_;
  size_t block_rows_;
  uint64_t num_blocks_;
  AlignedBuffer arena_;
};

}  // namespace neumf
