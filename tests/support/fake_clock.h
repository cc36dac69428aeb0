#pragma once

// A clock that stands still until a test moves it.

#include <vector>

#include "base/clock.h"

namespace neumf {

class FakeClock : public Clock {
 public:
  FakeClock();

  absl::Time WallNow() const override;
  absl::Duration MonotonicNow() const override;
  bool WaitUntil(CondVar* condition, Mutex* mutex,
                 absl::Duration deadline) const override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  // Moves both times forward; those who wait look at the clock again.
  void Advance(absl::Duration by);

 private:
  mutable Mutex mutex_;
  absl::Time wall_ ABSL_GUARDED_BY(mutex_);
  absl::Duration monotonic_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace neumf
