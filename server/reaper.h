#pragma once

// Frees snapshots on a thread of its own.
//
// The last user of an old snapshot is usually a request; it must not pay for
// unmapping gigabytes. A snapshot made by Adopt() is therefore handed to the
// reaper's thread when its last reference goes, and the memory goes back to the
// system there.

#include <cstdint>
#include <map>
#include <memory>
#include <thread>

#include "base/mutex.h"
#include "server/snapshot.h"

namespace neumf {

class Reaper {
 public:
  Reaper();
  // Waits until everything handed over is freed. Every snapshot that it adopted
  // must have been released before.
  ~Reaper();
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  // Any thread may call it, and release the result, as the next.
  std::shared_ptr<const Snapshot> Adopt(std::unique_ptr<Snapshot> snapshot);
  // Returns when every snapshot that nobody holds is freed.
  void WaitUntilIdle();

 private:
  using Dead = std::map<uint64_t, std::unique_ptr<const Snapshot>>;

  void Bury(uint64_t number, std::unique_ptr<const Snapshot> snapshot);
  void Run();
  // Says so in the log when the memory is the system's again.
  static void Free(Dead* dead);
  // Whether there is something that nobody holds and that is not freed.
  bool IsBusy() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  CondVar wake_;
  CondVar freed_;
  uint64_t last_number_ ABSL_GUARDED_BY(mutex_) = 0;
  // By number: those that are not freed, also while they are on their way from
  // their last user to `dead_`.
  std::map<uint64_t, std::weak_ptr<const Snapshot>> adopted_
      ABSL_GUARDED_BY(mutex_);
  Dead dead_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace neumf
