#pragma once

// The one place that says which snapshot is served.
//
// Readers take a shared_ptr and keep the snapshot alive as long as they use it;
// the loader swaps in a new one that is already verified, probed and warm. The
// lock is held for a pointer copy only (about 50 ns), so it is never what a
// request waits for. What is destroyed is destroyed outside the lock, and by
// the reaper: see reaper.h.
//
//   std::shared_ptr<const Snapshot> snapshot = holder.Get();
//   if (snapshot == nullptr) return NoModelError();
//
// Any thread may call any method.

#include <memory>

#include "base/mutex.h"
#include "server/snapshot.h"

namespace neumf {

class SnapshotHolder {
 public:
  // Null before the first Swap().
  std::shared_ptr<const Snapshot> Get() const;

  // Serves `next` from now on and returns what was served before. A reader that
  // calls Get() after Swap() returned gets `next` or a later one.
  std::shared_ptr<const Snapshot> Swap(std::shared_ptr<const Snapshot> next);

 private:
  mutable Mutex mutex_;
  std::shared_ptr<const Snapshot> current_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace neumf
