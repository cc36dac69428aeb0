#pragma once

// Looks into the checkpoint directory again and again, and serves the largest
// valid version.
//
// Polling is the truth. A version above the served one is loaded on the
// watcher's own thread and swapped in; what is served is never
// disturbed by a file that is not fit to be served, by a directory that is
// empty or gone, nor by a version that disappears.
//
// A refused file is not tried again until it changes (device, inode, size or
// time), and is logged, counted and recorded once for each content. Since some
// tools copy a file into place under its final name, a file that changes in
// place is tried again when it was the same in two polls, so that a long copy
// is not read over and over. I/O errors and lack of memory, which pass, are
// tried again with a back-off from 1 s to 60 s; so is, once, a file whose load
// met an error of the GPU: twice, and the file is taken for the cause.
//
// It also brings back what was served by a GPU that was lost, when the recovery
// says so: the same version from its file, or a larger one. Wake() it then.
//
//   CheckpointWatcher watcher(...);
//   absl::Status status = watcher.LoadFirst();    // blocks; the daemon's start
//   watcher.Start();
//   watcher.RequestStop();                        // nothing is swapped in
//   watcher.Stop();                               // blocks for a moment

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "server/checkpoint_loader.h"
#include "server/device_recovery.h"
#include "server/reaper.h"
#include "server/scoring_device.h"
#include "server/server_metrics.h"
#include "server/snapshot_holder.h"
#include "server/version_history.h"

namespace neumf {

class CheckpointWatcher {
 public:
  struct Options {
    std::string directory;
    // Time between two looks. Shorter finds new versions sooner and costs a
    // directory listing each time. Default: 2 s.
    absl::Duration poll_interval = absl::Seconds(2);
  };

  // What it works with; all must outlive it.
  struct Parts {
    FileSystem* files = nullptr;
    const Clock* clock = nullptr;
    const CheckpointLoader* loader = nullptr;
    ScoringDevice* device = nullptr;
    DeviceRecovery* recovery = nullptr;
    SnapshotHolder* holder = nullptr;
    Reaper* reaper = nullptr;
    VersionHistory* history = nullptr;
    ServerMetrics* metrics = nullptr;
  };

  CheckpointWatcher(Options options, const Parts& parts);
  // Stop()s.
  ~CheckpointWatcher();

  // Serves the largest version that is valid, trying downwards; a GPU that is
  // lost meanwhile is recovered. NOT_FOUND says where it looked, what it found
  // and why it was refused.
  absl::Status LoadFirst();

  // Begins to poll on a thread of its own. Call it once.
  void Start();
  // From now on nothing new is served. A load in progress is given up at its
  // next step or piece of the file, and leaves no record. Any thread may call
  // it.
  void RequestStop();
  // The same, and returns when the thread has ended.
  void Stop();
  // Looks at once: a GPU was lost. Any thread may call it.
  void Wake();

  // One look, by the calling thread: for tests. REQUIRES: not started.
  void PollOnce();

 private:
  // What the last attempt at a version met, so that it is not repeated.
  struct Refusal {
    FileInfo file;
    FileInfo last_look;  // the file in the last poll
    ReloadResult result = ReloadResult::kCorrupt;
    std::string reason;
    // For what passes: monotonic time of the next try, and the wait before it.
    absl::Duration retry_at = absl::InfiniteDuration();
    absl::Duration backoff = absl::ZeroDuration();
  };

  enum class Attempt {
    kNone,   // nothing new about the file
    kFirst,  // of this content
    kAgain,  // of a content that could not be loaded
  };

  bool IsStopping();
  void Run();
  // Waits for the next poll or try of the recovery; false when stopping.
  bool WaitForNextLook();
  absl::Status Look();
  // Loads a served version again.
  void ServeAgain(uint64_t version);
  // Tries the versions above the served one, the largest first.
  absl::Status ServeLargest();
  void ForgetMissing(const std::vector<CheckpointFile>& found);
  Attempt NextAttempt(const CheckpointFile& file, const FileInfo& info);
  // True when `file` is served now.
  bool TryLoad(const CheckpointFile& file);
  uint64_t Announce(const CheckpointFile& file, const FileInfo& info) const;
  void Serve(uint64_t attempt, std::unique_ptr<Snapshot> snapshot,
             absl::Duration took);
  // False when the watcher was told to stop.
  bool SwapIn(const std::shared_ptr<const Snapshot>& next);
  void Refuse(const CheckpointFile& file, uint64_t attempt,
              const LoadOutcome& outcome, absl::Duration took) const;
  // `attempt` may be 0: none was announced.
  void GiveUp(uint64_t attempt, uint64_t version) const;
  void Remember(const CheckpointFile& file, const LoadOutcome& outcome);
  // Of the newest few.
  std::string RefusalsText() const;

  const Options options_;
  const Parts parts_;

  // Of whichever one thread polls.
  std::map<uint64_t, Refusal> refusals_;
  bool directory_readable_ = true;  // so that a missing one logs one line

  Mutex mutex_;
  CondVar wake_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace neumf
