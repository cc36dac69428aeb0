#pragma once

// What takedowns and erasures mean in the rows of one snapshot, and the place
// in a snapshot where they change.
//
//   std::shared_ptr<const BlockedRows> blocked = snapshot.blocked->Get();
//   query.allow_mask = blocked->mask();
//
// A snapshot whose holder was never set blocks nothing: Takedowns sets those of
// all snapshots of the daemon, before they are served.

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "base/mutex.h"
#include "scoring/item_mask.h"

namespace neumf {

// Immutable once it is shared.
struct BlockedRows {
  std::optional<ItemMask> allowed_items;  // none: all of them
  uint64_t num_items = 0;                 // that it forbids
  absl::flat_hash_set<uint32_t> users;

  // For RankQuery::allow_mask; valid as long as this.
  const ItemMask* mask() const {
    return allowed_items.has_value() ? &*allowed_items : nullptr;
  }
  bool BlocksItem(uint32_t row) const {
    return allowed_items.has_value() && !allowed_items->allows(row);
  }
  bool BlocksUser(uint32_t row) const { return users.contains(row); }
};

// The rows that are in force in a snapshot. Any thread may call any method; the
// lock is held for a pointer only.
class BlockedRowsHolder {
 public:
  // Never null. Another pointer than last time: other rows.
  std::shared_ptr<const BlockedRows> Get() const {
    MutexLock lock(&mutex_);
    return rows_;
  }
  void Set(std::shared_ptr<const BlockedRows> rows) {
    MutexLock lock(&mutex_);
    rows_.swap(rows);  // the old ones go after the lock
  }

 private:
  mutable Mutex mutex_;
  std::shared_ptr<const BlockedRows> rows_ ABSL_GUARDED_BY(mutex_) =
      std::make_shared<const BlockedRows>();
};

}  // namespace neumf
