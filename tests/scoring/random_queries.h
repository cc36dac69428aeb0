#pragma once

// Queries of every kind over one model: K from 0 to more than all, items seen,
// excluded and masked from none to all, short lists, and any mix of them.

#include <cstdint>
#include <deque>
#include <random>
#include <vector>

#include "scoring/scorer.h"
#include "tests/support/tiny_model.h"

namespace neumf {

// Owns what its queries point to, beside the model, which must outlive it.
class RandomQueries {
 public:
  RandomQueries(const TinyModel& tiny, size_t count, uint64_t seed);
  RandomQueries(const RandomQueries&) = delete;
  RandomQueries& operator=(const RandomQueries&) = delete;

  const std::vector<RankQuery>& queries() const { return queries_; }

 private:
  uint64_t Below(uint64_t end) { return random_() % end; }
  uint32_t RandomK();
  // Rows, each with a probability that is itself drawn, from 0 to 1.
  absl::Span<const uint32_t> RandomRows();
  const ItemMask* RandomMask();

  const uint64_t num_items_;
  std::mt19937_64 random_;
  std::deque<std::vector<uint32_t>> lists_;
  std::deque<ItemMask> masks_;
  std::vector<RankQuery> queries_;
};

}  // namespace neumf
