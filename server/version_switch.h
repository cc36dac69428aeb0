#pragma once

// Loads versions and swaps them in.
//
// A load runs beside the thread that wants it; the swap itself is one of
// pointers, to what is verified, probed and warm. What was served is kept warm
// for the way back, which is a swap again. Each attempt has its line in the
// log, its count and its record; a second one at the same file is silent unless
// it ends otherwise than the first.
//
// A version may be put on trial first (version_trial.h), beside the one that is
// served: then it is promoted, rolled back, or ends when another is served.
//
// Belongs to whichever one thread polls for checkpoints, but for what says
// otherwise.

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "checkpoint/serving_policy.h"
#include "neumf/v1/model_service.pb.h"
#include "server/background_load.h"
#include "server/checkpoint_loader.h"
#include "server/crash_guard.h"
#include "server/loaded_versions.h"
#include "server/quarantine.h"
#include "server/reaper.h"
#include "server/refusals.h"
#include "server/scoring_device.h"
#include "server/server_metrics.h"
#include "server/snapshot_holder.h"
#include "server/version_history.h"
#include "server/version_trial.h"

namespace neumf {

class VersionSwitch {
 public:
  struct Options {
    std::string directory;  // of the files; no caller is told it
    // Versions in memory, the served one included: more go further back at once
    // and take the memory of as many models. At least 1. Default: 2.
    size_t keep_versions = 2;
    // Where memory has no room for a new version beside the served one, nothing
    // is served while it is loaded. Default: then it is refused. REQUIRES: there
    // are no trials, which compare two versions.
    bool may_unload = false;
    VersionTrial::Options trial;
    // Longest time between two calls of Wish::meanwhile.
    absl::Duration look_interval = absl::Seconds(2);
    // What calls have to let go of a version that is unloaded. Longer waits for
    // slower ones, while nothing is served. Default: longer than a call without
    // a deadline of its own may take, by the defaults of RequestLimits.
    absl::Duration unload_wait = absl::Seconds(35);
  };

  // What it works with; all must outlive it.
  struct Parts {
    FileSystem* files = nullptr;
    const Clock* clock = nullptr;
    const CheckpointLoader* loader = nullptr;
    ScoringDevice* device = nullptr;
    SnapshotHolder* holder = nullptr;
    Reaper* reaper = nullptr;
    VersionHistory* history = nullptr;
    ServerMetrics* metrics = nullptr;
    // Of the loader; null: it has none.
    CrashGuard* crash_guard = nullptr;
    TrialHolder* trials = nullptr;  // null: there are no trials
  };

  struct Wish {
    // Whoever asks for a version by name wants to know how it is now: the file
    // is tried even if nothing about it is new, or it crashed us.
    bool by_name = false;
    // Whether the quality gate and trials have a say. What an operator has
    // decided on, or what has to take the place of a version that must go, is
    // tried even if they refused it before.
    bool is_judged = true;
    // Asked when the version is swapped in: whether what it takes the place of
    // is kept warm.
    std::function<bool()> keep_previous = [] { return true; };
    // Unless it is warm, it is put on trial, not served.
    bool on_trial = false;
    // Nothing but RequestStop() gives the load up: without it nothing is
    // served.
    bool is_way_back = false;
    // Asked all the time, by several threads; false gives the load up.
    std::function<bool()> is_wanted = [] { return true; };
    // Called while a file is loaded: at first, after each Wake(), and at least
    // once in Options::look_interval.
    std::function<void()> meanwhile = [] {};
    // Called when the quality gate refuses it, now or by what it said of the
    // same content before.
    std::function<void()> gate_failed = [] {};
  };

  VersionSwitch(Options options, const Parts& parts);

  // From now on nothing new is served, and a load in progress is given up. Any
  // thread, as for the next two.
  void RequestStop();
  bool IsStopping() const { return stopping_; }
  void Wake() { load_.Wake(); }

  // Serves `file`, from memory if it is there. OK when it is served now, or on
  // trial, CANCELLED when it was given up, else an error for callers. Unless
  // it is OK, what was unloaded for it serves again, if it can.
  absl::Status Load(const CheckpointFile& file, const Wish& wish);
  // The load in progress ends, and its file is not refused. By Wish::meanwhile.
  void GiveUpLoad() { given_up_ = true; }

  // To be called after each poll: files that it passed by are not waited for.
  void EndLook();

  // Serves the version that was served before, if it is kept warm, and drops
  // the one that it leaves. False when there is none. Where the policy may have
  // changed, DropRefused() comes before it.
  bool ServeStandby();
  // The same for a served version that the policy refuses, with its line in the
  // log. What is on trial beside it ends: it was compared with that.
  bool LeaveRefused();
  // Lets go of what is kept warm and refused: it is no way back.
  void DropRefused(const ServingPolicy& policy);

  // Null: nothing is on trial.
  std::shared_ptr<VersionTrial> trial() const {
    return candidate_.snapshot == nullptr ? nullptr : parts_.trials->Get();
  }
  // Whether a new version can be put on trial beside what is served.
  bool CanTry() const;
  // Whether `file` is what is on trial, unchanged.
  bool IsOnTrial(const CheckpointFile& file) const;
  // Serves what is on trial. REQUIRES: there is something, as for the next.
  void Promote();
  // Lets go of what is on trial; `reason` is for operators.
  void EndTrial(TrialResult result, const std::string& reason);
  // The same for what could not be judged: it is not tried again by itself.
  void GiveUpTrial(const std::string& reason);
  // The same if the GPU that scores it was lost.
  void EndTrialOnLostDevice();

  // 0: nothing is served.
  uint64_t served_version() const;
  // The same, but while something is unloaded the version for which it is: what
  // a rollback leaves.
  uint64_t version_to_leave() const;
  // What was unloaded for that; 0: nothing was.
  uint64_t unloaded_version() const { return loaded_.unloaded(); }
  // Whether `file` is what is served, unchanged.
  bool IsServed(const CheckpointFile& file) const;
  v1::ModelVersion served_record() const;
  Refusals& refusals() { return refusals_; }

 private:
  // As Load(), from the file.
  absl::Status LoadFile(const CheckpointFile& file, const FileInfo& info,
                        const Wish& wish);
  LoadOutcome ReadFile(const CheckpointFile& file, const Wish& wish);
  // Whether the load is given up. Any thread, as the next.
  bool IsOver(const Wish& wish) const;
  bool MakeRoom(const CheckpointFile& file);
  // Whether what is served shall go, for another try at what came to `outcome`.
  // Its reason says so when that fails for the served version's sake.
  bool MayUnloadFor(const CheckpointFile& file, const Wish& wish,
                    LoadOutcome* outcome) const;
  // Nothing is served from now on, and its memory is free. False when it was
  // told to stop, or when what was served is still in use after a while or when
  // the load is given up: then it serves again.
  bool Unload(const CheckpointFile& file, const Wish& wish);
  // Serves what was unloaded, if nothing serves. `meanwhile` as in Wish.
  void BringBack(const CheckpointFile& failed,
                 const std::function<void()>& meanwhile);
  CheckpointFile FileOf(uint64_t version) const;
  // In memory, alive and unchanged; without a snapshot when it is not.
  LoadedVersion FindWarm(const CheckpointFile& file,
                         const FileInfo& info) const;
  uint64_t Announce(const CheckpointFile& file, const FileInfo& info) const;
  bool IsAlive(const LoadedVersion& loaded) const;
  // False when it was told to stop.
  bool Serve(LoadedVersion next, bool keep_previous);
  bool BeginTrial(LoadedVersion candidate);
  // What ends a trial, but for its record.
  LoadedVersion LeaveTrial(TrialResult result, const std::string& reason);
  bool SwapIn(const std::shared_ptr<const Snapshot>& next);
  void LogServing(const Snapshot& snapshot, absl::Duration took) const;
  absl::Status Refuse(const CheckpointFile& file, uint64_t attempt,
                      const LoadOutcome& outcome, absl::Duration took);
  // Shows what was refused, and is being written, as FOUND.
  void ShowWaiting(uint64_t version);
  void EndWaiting(uint64_t version);
  // `attempt` may be 0: none was announced.
  absl::Status GiveUp(uint64_t attempt, uint64_t version) const;

  const Options options_;
  const Parts parts_;
  BackgroundLoad load_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> given_up_{false};
  LoadedVersions loaded_;
  uint64_t last_tried_ = 0;  // but for what was unloaded
  LoadedVersion candidate_;  // without a snapshot: there is no trial
  Refusals refusals_;
  Quarantine quarantine_;
  // Files that are being written, by version.
  struct Waiting {
    uint64_t attempt = 0;
    bool was_seen = false;  // by the present poll
  };
  std::map<uint64_t, Waiting> waiting_;
  Mutex swap_mutex_;  // so that no swap ends after RequestStop()
};

}  // namespace neumf
