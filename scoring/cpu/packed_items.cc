#include "scoring/cpu/packed_items.h"

#include <algorithm>

namespace neumf {
namespace {

// Columns of `from` [num_items, width] row-major become rows of a block. A
// column is short and stays in the first-level cache, so that whole lines are
// written at once.
inline void Transpose(const float* from, size_t num_items, size_t width,
                      float* to) {
  for (size_t c = 0; c < width; ++c) {
    const float* value = from + c;
    for (size_t l = 0; l < num_items; ++l) {
      to[l] = *value;
      value += width;
    }
    to += kBlockItems;
  }
}

uint64_t NumBlocks(const ModelShape& shape) {
  return (shape.num_items + kBlockItems - 1) / kBlockItems;
}

size_t BlockRows(const ModelShape& shape) {
  return size_t{shape.tower_width()} + shape.gmf_width +
         (shape.has_item_bias ? 1 : 0);
}

}  // namespace

PackedItems::PackedItems(const ModelShape& shape)
    : tower_width_(shape.tower_width()),
      gmf_width_(shape.gmf_width),
      block_rows_(BlockRows(shape)),
      num_blocks_(NumBlocks(shape)),
      arena_(num_blocks_ * block_floats()) {}

uint64_t PackedItems::MappedBytes(const ModelShape& shape) {
  return neumf::MappedBytes(NumBlocks(shape) * BlockRows(shape) * kBlockItems,
                            sizeof(float));
}

void PackedItems::Store(const ItemRows& rows) {
  const size_t width = rows.table == ItemTable::kTower ? tower_width_
                       : rows.table == ItemTable::kGmf ? gmf_width_
                                                       : 1;
  const float* from = rows.values;
  const uint64_t end = rows.first_row + rows.num_rows;
  for (uint64_t item = rows.first_row; item < end;) {
    const uint64_t count =
        std::min(kBlockItems - item % kBlockItems, end - item);
    float* const to = Place(rows.table, item);
    if (count == kBlockItems) {
      Transpose(from, kBlockItems, width, to);  // unrolled
    } else {
      Transpose(from, count, width, to);
    }
    from += count * width;
    item += count;
  }
}

void PackedItems::Gather(uint32_t item, size_t lane, float* block) const {
  const float* const from =
      this->block(item / kBlockItems) + item % kBlockItems;
  for (size_t r = 0; r < block_rows_; ++r) {
    block[r * kBlockItems + lane] = from[r * kBlockItems];
  }
}

float* PackedItems::Place(ItemTable table, uint64_t item) {
  const size_t first_row = table == ItemTable::kTower ? 0
                           : table == ItemTable::kGmf
                               ? tower_width_
                               : tower_width_ + gmf_width_;
  return arena_.data() + item / kBlockItems * block_floats() +
         first_row * kBlockItems + item % kBlockItems;
}

}  // namespace neumf
