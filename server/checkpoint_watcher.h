#pragma once

// Looks into the checkpoint directory again and again, and serves what
// serving.json says: by default the largest valid version.
//
// Polling is the truth, a DirectoryHint only spares the wait. Which version is
// next is NextVersion()'s to say (version_chooser.h); it is loaded and swapped
// in by the VersionSwitch. What is served is never disturbed by a file that is
// not fit to be served (refusals.h), by a directory that is empty or gone, nor
// by a version that disappears.
//
// Callers' requests are served by the same thread, between two loads or beside
// one:
//
//   while a load runs      it was found by a poll      somebody asked for it
//   rollback               ends the load               ends the load, which is
//                                                      answered ABORTED;
//                                                      FAILED_PRECONDITION beside
//                                                      another rollback
//   load of that version   waits for it                waits for it
//   load of another        ends it and comes next;     FAILED_PRECONDITION
//                          NOT_FOUND without a file
//   serving.json wants     ends it, a poll later       goes on
//   another
//   the daemon stops       ends it                     UNAVAILABLE
//
// A served version that serving.json refuses gives way to one that is kept warm
// at once, beside a load a poll later, before a larger one is thought of. What
// is kept warm and refused is dropped: no rollback goes there.
//
// A new version that a poll finds beside one that is served may be put on trial
// first (version_trial.h); one that somebody asks for or pins is served at once.
// A rollback then rejects what is on trial; a load by name ends the trial.
//
// A rollback to a version that is kept warm, or of one on trial, is done at
// once; one to a version that has to be read waits for the end of the load that
// it gave up. What was unloaded for that load
// (VersionSwitch::Options::may_unload) serves again first, and is what a
// rollback that came meanwhile goes to. A load whose caller has left is given
// up, too, but for that of what was unloaded.
//
// It also brings back what was served by a GPU that was lost, when the recovery
// says so: the same version from its file, or a larger one. Wake() it then.
//
//   CheckpointWatcher watcher(...);
//   absl::Status status = watcher.LoadFirst();    // blocks; the daemon's start
//   watcher.Start();
//   watcher.RequestStop();                        // nothing is swapped in
//   watcher.Stop();                               // blocks for a moment

#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "checkpoint/checkpoint_directory.h"
#include "server/checkpoint_loader.h"
#include "server/crash_guard.h"
#include "server/device_recovery.h"
#include "server/last_known_good.h"
#include "server/policy_file.h"
#include "server/reaper.h"
#include "server/scoring_device.h"
#include "server/server_metrics.h"
#include "server/snapshot_holder.h"
#include "server/version_history.h"
#include "server/version_requests.h"
#include "server/version_switch.h"
#include "server/version_trial.h"

namespace neumf {

class CheckpointWatcher {
 public:
  struct Options {
    std::string directory;
    // Time between two looks. Shorter finds new versions sooner and costs a
    // directory listing each time. Default: 2 s.
    absl::Duration poll_interval = absl::Seconds(2);
    // Versions in memory, as VersionSwitch::Options says. Default: 2.
    size_t keep_versions = 2;
    // A version that a poll finds is loaded after a random time of at most so
    // long, so that a fleet does not load all at once. What somebody asks for,
    // and the first version, do not wait. Default: none.
    absl::Duration reload_jitter = absl::ZeroDuration();
    // As VersionSwitch::Options says. Default: never.
    bool may_unload = false;
    // How new versions are tried before they are served. Default: not at all.
    VersionTrial::Options trial;
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
    CrashGuard* crash_guard = nullptr;   // of the loader; null: it has none
    LastKnownGood* last_good = nullptr;  // null: nothing is remembered
    TrialHolder* trials = nullptr;       // null: there are no trials
  };

  CheckpointWatcher(Options options, const Parts& parts);
  // Stop()s.
  ~CheckpointWatcher();

  // Serves what the policy says, or else the largest version, the last known
  // good one or one below, in this order; only the last known good one where
  // serving.json cannot be read. A GPU that is lost meanwhile is recovered.
  // NOT_FOUND says where it looked, what it found and why it was refused.
  absl::Status LoadFirst();

  // Begins to poll on a thread of its own. Call it once.
  void Start();
  // From now on nothing new is served. A load in progress is given up at its
  // next step or piece of the file, and refuses nothing. Any thread may call it.
  void RequestStop();
  // The same, and returns when the thread has ended.
  void Stop();
  // Looks at once: a GPU was lost. Any thread may call it.
  void Wake();
  // Answers `request` when it is done. Any thread may call it.
  void Request(VersionRequest request) { requests_.Add(std::move(request)); }

  // One look, by the calling thread: for tests. REQUIRES: not started.
  void PollOnce();

 private:
  void Run();
  // Waits for the next poll or try of the recovery; false when stopping.
  bool WaitForNextLook();
  absl::Status Look();
  // Loads the served version again if its GPU was lost.
  void ServeAgainIfDead();
  // Obeys serving.json: what it refuses is kept warm no longer.
  void PollPolicy();
  // The same for what a change of our own refuses.
  absl::Status Change(PolicyChange change, const std::string& caller);
  // Whether the policy refuses what is served.
  bool IsServedRefused() const;
  // Serves what is kept warm in place of what the policy refuses: one that has
  // to be read first may take minutes.
  void LeaveRefused();
  // Tries what the policy asks for until it is served.
  absl::Status ServeByPolicy();
  // Whether `next`, null for none, has to wait for its turn in the fleet.
  bool MustWait(const CheckpointFile* next);
  absl::Status Load(const CheckpointFile& file);
  // Whether a version that a poll found is put on trial.
  bool TriesFirst() const;
  // Ends a trial that is over, or that the policy does not want any more.
  void JudgeTrial(const std::vector<CheckpointFile>& found);
  // For what the gate or a trial has found: nobody has asked for that.
  void RefuseForAll(uint64_t version);

  // In watcher_requests.cc, as the next ones.
  void ServeRequests();
  void ServeRequest(const VersionRequest& request);
  // What is done while `loading` is loaded, for `wish` if somebody asked for it.
  // Both must outlive the load.
  std::function<void()> Meanwhile(const CheckpointFile& loading,
                                  const VersionRequest* wish);
  // Obeys serving.json and judges the trial. The load is given up if a policy
  // other than the one that it was begun under does not want it; null: somebody
  // asked for it.
  void LookBeside(const CheckpointFile& loading,
                  const ServingPolicy* begun_under);
  // While `loading` is loaded, for `wish` if somebody asked for it.
  void ServeRequestsBeside(const CheckpointFile& loading,
                           const VersionRequest* wish);
  absl::StatusOr<VersionAnswer> LoadByName(const VersionRequest& request);
  // Whether it has a file, as far as is known.
  bool IsThere(uint64_t version) const;
  absl::Status LoadFor(const VersionRequest& request,
                       const CheckpointFile& file);
  absl::StatusOr<VersionAnswer> RollBack(const VersionRequest& request);
  absl::Status LoadEarlier(const VersionRequest& request, uint64_t left);
  VersionAnswer RolledBack(const VersionRequest& request, uint64_t left,
                           bool was_warm);
  VersionAnswer ChangePolicy(const VersionRequest& request,
                             PolicyChange change);
  CheckpointFile FileOf(uint64_t version) const;

  const Options options_;
  const Parts parts_;

  // Of whichever one thread polls, but for what they say themselves.
  VersionSwitch switch_;
  VersionRequests requests_;
  PolicyFile policy_;
  // When versions that were found are loaded, or soon after; infinite: none
  // waits.
  absl::Duration load_at_ = absl::InfiniteDuration();
  std::mt19937_64 random_{std::random_device()()};
  bool directory_readable_ = true;  // so that a missing one logs one line

  Mutex mutex_;
  CondVar wake_;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace neumf
