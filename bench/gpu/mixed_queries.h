#pragma once

// Queries of all kinds, mixed: what a scorer must answer as another does.

#include <cstdint>
#include <deque>
#include <random>
#include <vector>

#include "bench/bench_model.h"
#include "scoring/scorer.h"

namespace neumf {

// Owns what its queries point to, beside the users of `model`, which must outlive
// it. Users, ks (1, 10, 100, 1000) and filters (none; 200 seen; seen and
// excluded; masks of half and of a thousandth of the items; lists) take turns,
// so that 120 queries have each with each.
class MixedQueries {
 public:
  MixedQueries(const BenchModel& model, uint64_t num_items, size_t count,
               uint64_t seed);
  MixedQueries(const MixedQueries&) = delete;
  MixedQueries& operator=(const MixedQueries&) = delete;

  absl::Span<const RankQuery> queries() const { return queries_; }

 private:
  // Up to `count` rows, ascending.
  absl::Span<const uint32_t> RandomRows(size_t count);
  // Each item with a chance of one in `one_in`.
  const ItemMask* RandomMask(uint64_t one_in);
  void AddFilter(uint32_t kind, RankQuery* query);

  const uint64_t num_items_;
  std::mt19937_64 random_;
  std::deque<std::vector<uint32_t>> rows_;
  std::deque<ItemMask> masks_;
  std::vector<RankQuery> queries_;
};

}  // namespace neumf
