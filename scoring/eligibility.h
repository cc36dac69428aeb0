#pragma once

// Which items may be in an answer, without a look at each item, and whether
// there has to be one.

#include <atomic>
#include <cstdint>

#include "absl/types/span.h"
#include "model/serving_model.h"
#include "scoring/scorer.h"

namespace neumf {

// Answers "is this row in the ascending list?" for rows that ascend, in one
// walk over the list.
class AscendingRows {
 public:
  // Rows that are looked at together.
  static constexpr uint32_t kWordRows = 64;

  AscendingRows() = default;
  explicit AscendingRows(absl::Span<const uint32_t> rows)
      : begin_(rows.data()), end_(begin_ + rows.size()), next_(begin_) {}

  // The rows asked for next ascend from `row` on.
  void SeekTo(uint32_t row);

  bool Contains(uint32_t row) {
    while (next_ != end_ && *next_ < row) ++next_;
    return next_ != end_ && *next_ == row;
  }

  // Bit i is set when the list has row first + i.
  uint64_t Word(uint32_t first) {
    while (next_ != end_ && *next_ < first) ++next_;
    uint64_t word = 0;
    for (const uint32_t* row = next_; row != end_ && *row - first < kWordRows;
         ++row) {
      word |= uint64_t{1} << (*row - first);
    }
    return word;
  }

 private:
  const uint32_t* begin_ = nullptr;
  const uint32_t* end_ = nullptr;
  const uint32_t* next_ = nullptr;
};

// The rows that a query leaves out, seen or excluded.
class RemovedRows {
 public:
  RemovedRows() = default;
  explicit RemovedRows(const RankQuery& query)
      : seen_(query.seen), excluded_(query.excluded) {}

  void SeekTo(uint32_t row) {
    seen_.SeekTo(row);
    excluded_.SeekTo(row);
  }
  bool Contains(uint32_t row) {
    return seen_.Contains(row) || excluded_.Contains(row);
  }
  uint64_t Word(uint32_t first) {
    return seen_.Word(first) | excluded_.Word(first);
  }

 private:
  AscendingRows seen_;
  AscendingRows excluded_;
};

// Whether nobody waits for the answer any more.
inline bool IsCancelled(const RankQuery& query) {
  return query.cancelled != nullptr &&
         query.cancelled->load(std::memory_order_relaxed);
}

// Aborts when `query` breaks what RankQuery requires: the caller's rows would
// be read as places in memory.
void CheckQuery(const RankQuery& query, const ModelShape& shape);

// How many items are eligible for `query` in a catalog of `num_items`.
uint64_t CountEligible(const RankQuery& query, uint64_t num_items);

}  // namespace neumf
