#include "server/snapshot_holder.h"

#include <utility>

namespace neumf {

std::shared_ptr<const Snapshot> SnapshotHolder::Get() const {
  MutexLock lock(&mutex_);
  return current_;
}

std::shared_ptr<const Snapshot> SnapshotHolder::Swap(
    std::shared_ptr<const Snapshot> next) {
  MutexLock lock(&mutex_);
  current_.swap(next);
  return next;
}

}  // namespace neumf
