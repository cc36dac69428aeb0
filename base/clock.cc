#include "base/clock.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include "absl/time/clock.h"

namespace neumf {
namespace {

// Longer waits are cut here, so that no deadline overflows the clock beneath;
// to the caller it is one of the wake-ups that happen for no reason.
constexpr absl::Duration kLongestWait = absl::Hours(1);

class RealClock : public Clock {
 public:
  absl::Time WallNow() const override { return absl::Now(); }

  absl::Duration MonotonicNow() const override {
    return absl::FromChrono(
        std::chrono::steady_clock::now().time_since_epoch());
  }

  bool WaitUntil(CondVar* condition, Mutex* mutex,
                 absl::Duration deadline) const override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const absl::Duration left = deadline - MonotonicNow();
    if (left <= absl::ZeroDuration()) return false;
    const absl::Duration wait = std::min(left, kLongestWait);
    return condition->WaitFor(mutex, absl::ToChronoNanoseconds(wait)) ||
           wait < left;
  }
};

}  // namespace

std::unique_ptr<Clock> MakeRealClock() { return std::make_unique<RealClock>(); }

}  // namespace neumf
