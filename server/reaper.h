#pragma once

// Frees snapshots on a thread of its own.
//
// The last user of an old snapshot is usually a request; it must not pay for
// unmapping gigabytes. A snapshot made by Adopt() is therefore handed to the
// reaper's thread when its last reference goes, and the memory goes back to the
// system there.

#include <memory>
#include <thread>
#include <vector>

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
  // Returns when everything that was handed over before is freed.
  void WaitUntilIdle();

 private:
  void Bury(std::unique_ptr<const Snapshot> snapshot);
  void Run();
  // Says so in the log when the memory is the system's again.
  static void Free(std::vector<std::unique_ptr<const Snapshot>> dead);

  Mutex mutex_;
  CondVar wake_;
  std::vector<std::unique_ptr<const Snapshot>> dead_ ABSL_GUARDED_BY(mutex_);
  CondVar idle_;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace neumf
