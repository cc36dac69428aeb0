#pragma once

// Which items may be in an answer, without a look at each item.

#include <cstdint>

#include "absl/types/span.h"
#include "model/serving_model.h"
#include "scoring/scorer.h"

namespace neumf {

// Answers "is this row in the ascending list?" for rows that ascend, in one
// walk over the list.
class AscendingRows {
 public:
  AscendingRows() = default;
  explicit AscendingRows(absl::Span<const uint32_t> rows)
      : begin_(rows.data()), end_(begin_ + rows.size()), next_(begin_) {}

  // The rows asked for next ascend from `row` on.
  void SeekTo(uint32_t row);

  bool Contains(uint32_t row) {
    while (next_ != end_ && *next_ < row) ++next_;
    return next_ != end_ && *next_ == row;
  }

 private:
  const uint32_t* begin_ = nullptr;
  const uint32_t* end_ = nullptr;
  const uint32_t* next_ = nullptr;
};

// Aborts when `query` breaks what RankQuery requires: the caller's rows would
// be read as places in memory.
void CheckQuery(const RankQuery& query, const ModelShape& shape);

// How many items are eligible for `query` in a catalog of `num_items`.
uint64_t CountEligible(const RankQuery& query, uint64_t num_items);

}  // namespace neumf
