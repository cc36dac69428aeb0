#pragma once

// The gradient of a batch by every parameter, in the parameters' layout, and
// which rows of the tables the batch touched: all others are 0.
//
// Clearing costs what was touched, not what there is. Belongs to one thread.

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "trainer/model/parameters.h"

namespace neumf {

class Gradient {
 public:
  explicit Gradient(const ParameterLayout& layout);

  absl::Span<float> values() { return absl::MakeSpan(values_); }
  absl::Span<const float> values() const { return values_; }
  float* block(const ParameterBlock& block) {
    return values_.data() + block.offset;
  }

  // The rows of a table that were touched since Clear(), each once. `table`
  // counts the table blocks of the layout from 0, in their order.
  size_t num_tables() const { return tables_.size(); }
  const ParameterBlock& table(size_t table) const {
    return tables_[table].block;
  }
  absl::Span<const uint32_t> touched(size_t table) const {
    return tables_[table].rows;
  }

  // The row's gradient, to be added to. Marks it as touched.
  // REQUIRES: row < the rows of the table.
  float* Touch(size_t table, uint32_t row) {
    Table& touched_table = tables_[table];
    if (touched_table.is_touched[row] == 0) {
      touched_table.is_touched[row] = 1;
      touched_table.rows.push_back(row);
    }
    return values_.data() + touched_table.block.offset +
           row * touched_table.block.cols;
  }

  // Marks every row of the table as touched, for who writes to all of block().
  void TouchAll(size_t table);

  // Where the blocks begin that are no tables.
  size_t dense_begin() const { return dense_begin_; }

  // Everything is 0 and untouched again.
  void Clear();

 private:
  struct Table {
    ParameterBlock block;
    std::vector<uint32_t> rows;
    std::vector<uint8_t> is_touched;  // [rows of the block]
  };

  std::vector<float> values_;
  std::vector<Table> tables_;
  size_t dense_begin_ = 0;  // tables come first in the layout
};

}  // namespace neumf
