#pragma once

// The items of each user in the order in which the user met them, as compressed
// sparse rows: what models of the last items read. (Interactions sorts a row by
// item.)
//
// Immutable after creation: any number of threads may read.

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "data/event_log.h"

namespace neumf {

class ItemSequences {
 public:
  // REQUIRES: `events` by user row, each below `num_users`, and a user's in
  // time order, as Split::train has them.
  ItemSequences(uint64_t num_users, absl::Span<const Event> events);

  uint64_t num_users() const { return offsets_.size() - 1; }
  uint64_t num_events() const { return items_.size(); }

  // Item rows, the oldest event first. REQUIRES: user < num_users().
  absl::Span<const uint32_t> row(uint64_t user) const {
    return absl::MakeConstSpan(items_.data() + offsets_[user],
                               offsets_[user + 1] - offsets_[user]);
  }
  // The newest `count` of row(user), or all of it where it is shorter.
  absl::Span<const uint32_t> Last(uint64_t user, uint64_t count) const;

  absl::Span<const uint64_t> offsets() const { return offsets_; }  // [U + 1]
  absl::Span<const uint32_t> items() const { return items_; }

 private:
  std::vector<uint64_t> offsets_;
  std::vector<uint32_t> items_;
};

}  // namespace neumf
