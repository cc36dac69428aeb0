#include "eval/places.h"

namespace neumf {

const Places& PlaceFinder::Find(absl::Span<const ScoredRow> items,
                                absl::Span<const uint32_t> held_out,
                                absl::Span<const uint32_t> demoted) {
  places_.by_row.clear();
  places_.after.clear();
  places_.midranks.clear();
  for (const uint32_t row : held_out) marks_[row] |= kHeldOut;
  for (const uint32_t row : demoted) marks_[row] |= kDemoted;
  const uint64_t num_above = Walk(items, false, 0);
  if (num_above < items.size()) Walk(items, true, num_above);
  for (const uint32_t row : held_out) marks_[row] = 0;
  for (const uint32_t row : demoted) marks_[row] = 0;
  return places_;
}

uint64_t PlaceFinder::Walk(absl::Span<const ScoredRow> items, bool demoted,
                           uint64_t next) {
  const ScoredRow* item = items.data();
  const ScoredRow* const end = item + items.size();
  while (item != end) {
    const ScoredRow* const group = item;
    const uint64_t first = next;
    do {
      const uint8_t mark = marks_[item->row];
      if (((mark & kDemoted) != 0) != demoted) continue;
      if ((mark & kHeldOut) != 0) {
        places_.by_row.push_back(static_cast<double>(next));
      }
      ++next;
    } while (++item != end && item->score == group->score);
    const double midrank = (static_cast<double>(first + next) - 1) / 2;
    const double last = static_cast<double>(next) - 1;
    places_.midranks.resize(places_.by_row.size(), midrank);
    places_.after.resize(places_.by_row.size(), last);
  }
  return next;
}

}  // namespace neumf
