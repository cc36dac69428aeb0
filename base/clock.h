#pragma once

// Time as a dependency, so that tests decide what time it is. All methods may
// be called by any thread.

#include <memory>

#include "absl/time/time.h"
#include "base/mutex.h"

namespace neumf {

class Clock {
 public:
  virtual ~Clock() = default;

  // Wall time: for timestamps that people and other machines read. May jump.
  virtual absl::Time WallNow() const = 0;

  // Time since some fixed moment, never going back: for intervals and
  // deadlines.
  virtual absl::Duration MonotonicNow() const = 0;

  // Waits on `condition` until it is signalled or `MonotonicNow()` reaches
  // `deadline`; absl::InfiniteDuration() waits without an end. Returns false
  // when the deadline passed. May wake for no reason: call it in a loop.
  virtual bool WaitUntil(CondVar* condition, Mutex* mutex,
                         absl::Duration deadline) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) = 0;
};

std::unique_ptr<Clock> MakeRealClock();

}  // namespace neumf
