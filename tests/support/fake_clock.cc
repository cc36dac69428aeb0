#include "tests/support/fake_clock.h"

#include <chrono>

namespace neumf {

FakeClock::FakeClock()
    : wall_(absl::FromUnixSeconds(1'700'000'000)),
      monotonic_(absl::Seconds(1000)) {}

absl::Time FakeClock::WallNow() const {
  MutexLock lock(&mutex_);
  return wall_;
}

absl::Duration FakeClock::MonotonicNow() const {
  MutexLock lock(&mutex_);
  return monotonic_;
}

// Looks at the clock again after a moment of real time: Advance() need not know
// who waits on what.
bool FakeClock::WaitUntil(CondVar* condition, Mutex* mutex,
                          absl::Duration deadline) const {
  if (MonotonicNow() >= deadline) return false;
  constexpr std::chrono::milliseconds kMoment(1);
  return condition->WaitFor(mutex, kMoment) || MonotonicNow() < deadline;
}

void FakeClock::Advance(absl::Duration by) {
  MutexLock lock(&mutex_);
  wall_ += by;
  monotonic_ += by;
}

}  // namespace neumf
