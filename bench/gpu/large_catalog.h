#pragma once

// A catalog that need not fit this machine's memory: made row by row while
// scorers take it in.

#include <cstdint>

#include "absl/status/status.h"
#include "base/thread_pool.h"
#include "bench/bench_model.h"
#include "model/serving_model.h"

namespace neumf {

class LargeCatalog {
 public:
  // Row j is row j mod I of `model`, and from the second copy on has noise added
  // of 0.3 standard deviations of its column, always the same: copies are alike,
  // but do not tie. `model` must outlive it.
  LargeCatalog(const BenchModel& model, uint64_t num_items);

  const ModelShape& shape() const { return shape_; }
  // Feeds all rows to `sink`, made on the threads of `threads`.
  absl::Status Stream(ThreadPool& threads, ItemRowsSink sink) const;

 private:
  // One of the model's tables, and the noise of its columns.
  struct Table {
    ItemTable table = ItemTable::kTower;
    const float* values = nullptr;  // [I, width]
    uint32_t width = 0;
    std::vector<float> noise;  // [width]
  };

  static Table MakeTable(ItemTable table, const float* values,
                         uint64_t num_rows, uint32_t width);
  void FillRow(const Table& table, uint64_t row, float* to) const;

  ModelShape shape_;
  const uint64_t num_rows_;  // of the model
  std::vector<Table> tables_;
};

}  // namespace neumf
