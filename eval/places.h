#pragma once

// Where a user's held-out items stand in a ranking, under each rule of ties.
//
//   PlaceFinder finder(num_items);
//   const Places& places = finder.Find(ranking.items, held_out, {});
//
// Belongs to one thread; keeps its memory between calls.

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "scoring/scorer.h"

namespace neumf {

// 0-based places of the held-out items that are in the list, ascending, under
// three rules for items of equal score.
struct Places {
  std::vector<double> by_row;    // the smaller row stands first
  std::vector<double> after;     // behind all of the group
  std::vector<double> midranks;  // in the middle of the group
};

class PlaceFinder {
 public:
  explicit PlaceFinder(uint64_t num_items) : marks_(num_items) {}

  // `items` are best first. `demoted` items stand below all others of the list,
  // in the list's order. The result is valid until the next call. REQUIRES: all
  // rows are below num_items.
  const Places& Find(absl::Span<const ScoredRow> items,
                     absl::Span<const uint32_t> held_out,
                     absl::Span<const uint32_t> demoted);

 private:
  enum Mark : uint8_t { kHeldOut = 1, kDemoted = 2 };

  // Places the items that are demoted, or those that are not, from place
  // `next` on; returns the place behind them.
  uint64_t Walk(absl::Span<const ScoredRow> items, bool demoted, uint64_t next);

  std::vector<uint8_t> marks_;  // [I]; all 0 between calls
  Places places_;
};

}  // namespace neumf
