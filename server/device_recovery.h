#pragma once

// Brings a lost GPU back, or ends the process: when it is tried, and how often.
//
//   switch (recovery.Next(served)) {
//     case kNone:   nothing is lost
//     case kWait:   call again at next_try()
//     case kReload: the device is there again; load what was served and is dead,
//                   then call Reloaded()
//   }
//
// The first try comes at once, further ones with a back-off. A loss soon after
// the last one is the same trouble: a GPU that comes back and fails again and
// again runs out of tries as well. Without tries left the process ends, unless
// the CPU serves: that is never given up for a GPU.
//
// Belongs to whichever one thread polls for checkpoints.

#include <functional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "server/scoring_device.h"
#include "server/snapshot.h"

namespace neumf {

class DeviceRecovery {
 public:
  struct Options {
    // More ride out a longer absence of the GPU, and leave callers without
    // answers for longer. Default: with these waits, half a minute.
    int max_tries = 6;
    absl::Duration first_wait = absl::Seconds(1);
    absl::Duration longest_wait = absl::Seconds(30);
    // How long it has to go well before tries are counted anew.
    absl::Duration steady_after = absl::Minutes(1);
    // Called when there are no tries left. Default: exit code 3, by force:
    // destructors could wait for the GPU for ever.
    std::function<void()> give_up = &EndProcess;
  };

  enum class Step { kNone, kWait, kReload };

  // `clock` and `device` must outlive this.
  DeviceRecovery(Options options, const Clock* clock, ScoringDevice* device);

  // `served` is null while nothing is.
  Step Next(const Snapshot* served);
  void Reloaded(const Snapshot* served);

  // On the monotonic clock; InfiniteDuration() when none is due.
  absl::Duration next_try() const { return next_try_; }

 private:
  static void EndProcess();
  bool InTrouble(const Snapshot* served) const;
  bool MayGiveUp(const Snapshot* served) const;
  void Begin(absl::Duration now, const Snapshot* served);
  void Failed(absl::string_view reason, const Snapshot* served);
  // Until the next try, at once when it would be one too many.
  void Wait(const Snapshot* served);

  const Options options_;
  const Clock* const clock_;
  ScoringDevice* const device_;

  bool in_trouble_ = false;
  int tries_ = 0;
  absl::Duration began_ = absl::ZeroDuration();
  absl::Duration last_try_ = -absl::InfiniteDuration();
  absl::Duration wait_ = absl::ZeroDuration();
  absl::Duration next_try_ = absl::InfiniteDuration();
};

}  // namespace neumf
