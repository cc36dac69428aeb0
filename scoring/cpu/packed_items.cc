#include "scoring/cpu/packed_items.h"

namespace neumf {

PackedItems::PackedItems(const ModelShape& shape)
    : tower_width_(shape.tower_width()),
      gmf_width_(shape.gmf_width),
      block_rows_(tower_width_ + gmf_width_ + (shape.has_item_bias ? 1 : 0)),
      num_blocks_((shape.num_items + kBlockItems - 1) / kBlockItems),
      arena_(num_blocks_ * block_floats()) {}

void PackedItems::Store(const ItemRows& rows) {
  const size_t width = rows.table == ItemTable::kTower ? tower_width_
                       : rows.table == ItemTable::kGmf ? gmf_width_
                                                       : 1;
  const float* from = rows.values;
  for (uint64_t r = 0; r < rows.num_rows; ++r) {
    float* to = Place(rows.table, rows.first_row + r);
    for (size_t c = 0; c < width; ++c) to[c * kBlockItems] = from[c];
    from += width;
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
