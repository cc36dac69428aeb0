#pragma once

// A load on a thread of its own, so that the thread which wants it stays at
// hand for what is asked of it meanwhile: a rollback must not wait for a load,
// nor a look at what has changed.

#include <functional>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "checkpoint/checkpoint_directory.h"
#include "server/checkpoint_loader.h"
#include "server/snapshot.h"

namespace neumf {

class BackgroundLoad {
 public:
  // `loader` and `clock` must outlive this. `interval` is the longest time
  // between two calls of `meanwhile`.
  BackgroundLoad(const CheckpointLoader* loader, const Clock* clock,
                 absl::Duration interval)
      : loader_(loader), clock_(clock), interval_(interval) {}

  // As CheckpointLoader::Load(), on another thread. The calling thread calls
  // `meanwhile` at first, after each Wake() and each interval until the load
  // ends. By one thread at a time.
  LoadOutcome Run(const LoadRequest& request,
                  const std::function<void()>& meanwhile);

  // Any thread, at any time.
  void Wake();

 private:
  // False when the load has ended.
  bool WaitForWake();

  const CheckpointLoader* const loader_;
  const Clock* const clock_;
  const absl::Duration interval_;

  Mutex mutex_;
  CondVar changed_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace neumf
