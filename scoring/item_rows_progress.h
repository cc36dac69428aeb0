#pragma once

// What every ScorerBuilder checks of the rows it is given: that each table of
// the shape comes once, whole, and in ascending order.
//
// For one thread at a time, which need not be the same one each time: that is
// how a CheckpointReader calls its sink.

#include <array>
#include <cstdint>

#include "absl/status/status.h"
#include "model/serving_model.h"

namespace neumf {

class ItemRowsProgress {
 public:
  explicit ItemRowsProgress(const ModelShape& shape);

  // Takes note of `rows`. INVALID_ARGUMENT, and nothing noted, when they are
  // not the next ones of their table, reach past its end, or have no table.
  absl::Status Advance(const ItemRows& rows);

  // FAILED_PRECONDITION names a table with rows missing.
  absl::Status CheckComplete() const;

 private:
  struct Table {
    bool expected = false;
    uint64_t next_row = 0;
  };

  const uint64_t num_items_;
  std::array<Table, 3> tables_;  // by ItemTable
};

}  // namespace neumf
