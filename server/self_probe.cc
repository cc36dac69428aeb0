#include "server/self_probe.h"

#include <utility>

#include "base/logging.h"

namespace neumf {

SelfProbe::SelfProbe(absl::Duration interval, const Clock* clock,
                     ServerMetrics* metrics,
                     std::function<absl::Status()> probe)
    : metrics_(metrics),
      probe_(std::move(probe)),
      turns_(std::make_unique<PeriodicTask>("self_probe", interval, clock,
                                            [this] { Turn(); })) {}

void SelfProbe::Stop() { turns_.reset(); }

void SelfProbe::Turn() {
  const absl::Status answered = probe_();
  if (absl::IsCancelled(answered)) return;  // the server ends: no news
  metrics_->SelfProbed(answered.ok());
  misses_ = answered.ok() ? 0 : misses_ + 1;
  const bool live = answered.ok() || (live_ && misses_ < kMostMisses);
  if (live == live_) return;
  live_ = live;
  metrics_->SetLive(live);
  LogEvent event(live ? "self_probe_recovered" : "self_probe_failed");
  if (!live) event.With("reason", answered.message());
}

}  // namespace neumf
