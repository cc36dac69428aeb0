#pragma once

// Users x items as compressed sparse rows: the items of a user, ascending,
// without repeats. A user's seen set is one row.
//
// Immutable after creation: any number of threads may read.

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "data/event_log.h"

namespace neumf {

class Interactions {
 public:
  Interactions(uint64_t num_users, uint64_t num_items,
               absl::Span<const Event> events);

  uint64_t num_users() const { return offsets_.size() - 1; }
  uint64_t num_items() const { return num_items_; }
  uint64_t num_interactions() const { return items_.size(); }

  // Ascending item rows. REQUIRES: user < num_users().
  absl::Span<const uint32_t> row(uint64_t user) const {
    return absl::MakeConstSpan(items_.data() + offsets_[user],
                               offsets_[user + 1] - offsets_[user]);
  }
  bool Contains(uint64_t user, uint32_t item) const;

  absl::Span<const uint64_t> offsets() const { return offsets_; }  // [U + 1]
  absl::Span<const uint32_t> items() const { return items_; }
  // How many users have each item. [I]
  std::vector<uint32_t> ItemCounts() const;

 private:
  uint64_t num_items_;
  std::vector<uint64_t> offsets_;
  std::vector<uint32_t> items_;
};

}  // namespace neumf
