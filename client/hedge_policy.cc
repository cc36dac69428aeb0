#include "client/hedge_policy.h"

#include <algorithm>

namespace neumf {

void HedgePolicy::RecordCall(absl::Duration latency) {
  const MutexLock lock(&mutex_);
  if (latencies_.size() < kWindow) {
    latencies_.push_back(latency);
  } else {
    latencies_[next_] = latency;
  }
  next_ = (next_ + 1) % kWindow;
  // Selecting takes microseconds: not after each call.
  if (next_ % kMinCalls == 0) UpdateDelay();
  saved_ = std::min(kMaxSaved, saved_ + kExtraCalls);
}

void HedgePolicy::UpdateDelay() {
  std::vector<absl::Duration> latencies = latencies_;
  const auto p95 =
      latencies.begin() + static_cast<ptrdiff_t>(latencies.size() * 95 / 100);
  std::nth_element(latencies.begin(), p95, latencies.end());
  delay_ = *p95;
}

std::optional<absl::Duration> HedgePolicy::Delay() const {
  const MutexLock lock(&mutex_);
  return delay_;
}

bool HedgePolicy::TryHedge() {
  const MutexLock lock(&mutex_);
  if (saved_ < 1) return false;
  saved_ -= 1;
  return true;
}

}  // namespace neumf
