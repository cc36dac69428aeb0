#include "data/item_sequences.h"

#include <algorithm>

#include "base/logging.h"

namespace neumf {

ItemSequences::ItemSequences(uint64_t num_users, absl::Span<const Event> events)
    : offsets_(num_users + 1) {
  items_.reserve(events.size());
  uint32_t previous_user = 0;
  for (const Event& event : events) {
    NEUMF_CHECK(event.user >= previous_user && event.user < num_users);
    previous_user = event.user;
    ++offsets_[event.user + 1];
    items_.push_back(event.item);
  }
  for (uint64_t u = 0; u < num_users; ++u) offsets_[u + 1] += offsets_[u];
}

absl::Span<const uint32_t> ItemSequences::Last(uint64_t user,
                                               uint64_t count) const {
  const absl::Span<const uint32_t> items = row(user);
  return items.last(std::min<uint64_t>(count, items.size()));
}

}  // namespace neumf
