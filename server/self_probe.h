#pragma once

// Liveness: asks again and again, on a thread of its own, whether the server
// still does what it is there for, and says so when it does not.
//
// Health tells callers where to go (readiness); this tells whoever can restart
// the process that it will not get better by itself. A server whose accept loop
// or batcher hangs looks well to everything that only looks at the process.
//
//   three misses in a row    live() is false: event=self_probe_failed, the
//                            metric neumf_live is 0, and systemd's watchdog is
//                            not fed any more (service_manager.h)
//   one answer               live() is true, again: event=self_probe_recovered
//
// live() may be called by any thread, the rest by one.

#include <atomic>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "server/periodic_task.h"
#include "server/server_metrics.h"

namespace neumf {

class SelfProbe {
 public:
  static constexpr int kMostMisses = 3;

  // `probe` says OK or what is wrong, `interval` after it has said so last.
  // `clock` and `metrics` must outlive this.
  SelfProbe(absl::Duration interval, const Clock* clock, ServerMetrics* metrics,
            std::function<absl::Status()> probe);

  // Returns when the probe in progress has ended; live() stays as it is.
  // Idempotent.
  void Stop();

  bool live() const { return live_; }

 private:
  void Turn();

  ServerMetrics* const metrics_;
  const std::function<absl::Status()> probe_;
  std::atomic<bool> live_{true};
  int misses_ = 0;  // of the thread alone
  std::unique_ptr<PeriodicTask> turns_;
};

}  // namespace neumf
