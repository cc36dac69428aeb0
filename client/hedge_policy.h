#pragma once

// When a call that has no answer yet is sent a second time ("hedged"): after a
// time that 95 % of the latest calls did not need, and for at most 5 % of the
// calls, so that a server that is slow for all is not asked twice as often.
//
// Any thread may call any method.

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "base/mutex.h"

namespace neumf {

class HedgePolicy {
 public:
  // Before so many calls there is no delay: nothing is known of the server.
  static constexpr size_t kMinCalls = 64;
  // How many of the latest calls count.
  static constexpr size_t kWindow = 512;
  // Second calls per call, and how many may be saved up for bad moments.
  static constexpr double kExtraCalls = 0.05;
  static constexpr double kMaxSaved = 5;

  // A call was answered after `latency`, its second call included.
  void RecordCall(absl::Duration latency);

  // How long to wait for an answer before the second call.
  std::optional<absl::Duration> Delay() const;

  // Pays for a second call; false when there were too many of them.
  bool TryHedge();

 private:
  void UpdateDelay() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  // A ring: the latest call is before `next_`.
  std::vector<absl::Duration> latencies_ ABSL_GUARDED_BY(mutex_);
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<absl::Duration> delay_ ABSL_GUARDED_BY(mutex_);
  double saved_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace neumf
