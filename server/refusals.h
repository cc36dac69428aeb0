#pragma once

// What the last attempt at each version met, so that it is not repeated.
//
// A refused file is not tried again until it changes (device, inode, size or
// time). Since some tools copy a file into place under its final name, one that
// changes in place is tried again when it has been the same for a second, so
// that a long copy is not read over and over; and in silence while it is young.
// I/O errors and lack of memory, which pass, are tried again with a back-off from
// 1 s to 60 s, and so is a file without a good signature, which may come later
// than the file; so is, once, a file whose load met an error of the GPU: twice,
// and the file is taken for the cause.
//
// This knows files; the Quarantine knows what is in them.
//
// Belongs to whichever one thread polls for checkpoints.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "checkpoint/checkpoint_directory.h"
#include "server/checkpoint_loader.h"
#include "server/server_metrics.h"

namespace neumf {

class Refusals {
 public:
  enum class Attempt {
    kNone,     // nothing new about the file
    kWaiting,  // it is being written: wait until it is still
    kFirst,    // of this content
    kAgain,    // of a content that could not be loaded
  };

  // `clock` must outlive this.
  explicit Refusals(const Clock* clock) : clock_(clock) {}

  // Whether to try a file that looks like `info` now. To be asked once a poll.
  Attempt Next(uint64_t version, const FileInfo& info);
  // Whether the last attempt at this file ended as the one in `outcome`.
  bool IsRepetition(uint64_t version, const LoadOutcome& outcome) const;
  // `attempt` is its record in the VersionHistory; 0: that of the last one.
  void Remember(uint64_t version, const LoadOutcome& outcome, uint64_t attempt);
  // 0: there is none.
  uint64_t attempt(uint64_t version) const;
  // What was remembered last failed although what was served was unloaded for
  // it, which is not worth a second time.
  void RememberUnloaded(uint64_t version);
  // Whether that happened, with this very file.
  bool FailedUnloaded(uint64_t version, const FileInfo& file) const;
  void Forget(uint64_t version) { refusals_.erase(version); }
  // The same for one that is whole, and has failed the gate or its trial.
  void ForgetVerdict(uint64_t version);
  // Those whose files are not in `found`, which ascends.
  void ForgetMissing(const std::vector<CheckpointFile>& found);

  bool empty() const { return refusals_.empty(); }
  // Reasons of the newest few.
  std::string ToString() const;

 private:
  struct Refusal {
    FileInfo file;
    FileInfo last_look;  // the file in the last poll
    absl::Duration still_since = absl::ZeroDuration();  // it looks like that
    ReloadResult result = ReloadResult::kCorrupt;
    std::string reason;
    uint64_t attempt = 0;
    bool failed_unloaded = false;
    // For what passes: monotonic time of the next try, and the wait before it.
    absl::Duration retry_at = absl::InfiniteDuration();
    absl::Duration backoff = absl::ZeroDuration();
  };

  const Clock* const clock_;
  std::map<uint64_t, Refusal> refusals_;
};

}  // namespace neumf
