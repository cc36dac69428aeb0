#include "data/interactions.h"

#include <algorithm>

#include "base/logging.h"

namespace neumf {

Interactions::Interactions(uint64_t num_users, uint64_t num_items,
                           absl::Span<const Event> events)
    : num_items_(num_items), offsets_(num_users + 1), items_(events.size()) {
  for (const Event& event : events) {
    NEUMF_CHECK(event.user < num_users && event.item < num_items);
    ++offsets_[event.user + 1];
  }
  for (uint64_t u = 0; u < num_users; ++u) offsets_[u + 1] += offsets_[u];

  std::vector<uint64_t> next(offsets_.begin(), offsets_.end() - 1);
  for (const Event& event : events) items_[next[event.user]++] = event.item;

  // Sorts each row and closes the gaps that repeated items leave.
  uint64_t begin = 0;
  uint64_t kept = 0;
  for (uint64_t u = 0; u < num_users; ++u) {
    const uint64_t end = offsets_[u + 1];
    std::sort(items_.data() + begin, items_.data() + end);
    for (uint64_t at = begin; at < end; ++at) {
      const bool repeated = at > begin && items_[at] == items_[kept - 1];
      if (!repeated) items_[kept++] = items_[at];
    }
    offsets_[u + 1] = kept;
    begin = end;
  }
  items_.resize(kept);
}

bool Interactions::Contains(uint64_t user, uint32_t item) const {
  const absl::Span<const uint32_t> items = row(user);
  return std::binary_search(items.begin(), items.end(), item);
}

std::vector<uint32_t> Interactions::ItemCounts() const {
  std::vector<uint32_t> counts(num_items_);
  for (uint32_t item : items_) ++counts[item];
  return counts;
}

}  // namespace neumf
