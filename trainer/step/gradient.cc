#include "trainer/step/gradient.h"

#include <algorithm>
#include <numeric>

#include "base/logging.h"

namespace neumf {

Gradient::Gradient(const ParameterLayout& layout) : values_(layout.size) {
  for (const ParameterBlock* const block : layout.Blocks()) {
    if (!block->is_table) continue;
    NEUMF_CHECK(block->offset == dense_begin_);
    dense_begin_ += block->size();
    tables_.push_back({*block, {}, std::vector<uint8_t>(block->rows)});
  }
}

void Gradient::TouchAll(size_t table) {
  Table& touched = tables_[table];
  std::fill(touched.is_touched.begin(), touched.is_touched.end(), uint8_t{1});
  touched.rows.resize(touched.block.rows);
  std::iota(touched.rows.begin(), touched.rows.end(), 0U);
}

void Gradient::Clear() {
  for (Table& table : tables_) {
    float* const block = values_.data() + table.block.offset;
    for (const uint32_t row : table.rows) {
      std::fill_n(block + row * table.block.cols, table.block.cols, 0.0F);
      table.is_touched[row] = 0;
    }
    table.rows.clear();
  }
  std::fill(values_.begin() + static_cast<std::ptrdiff_t>(dense_begin_),
            values_.end(), 0.0F);
}

}  // namespace neumf
