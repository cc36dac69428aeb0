#pragma once

// A load on a thread of its own, so that the thread which wants it stays at
// hand for what is asked of it meanwhile: a rollback must not wait for a load.

#include <functional>

#include "base/mutex.h"
#include "checkpoint/checkpoint_directory.h"
#include "server/checkpoint_loader.h"
#include "server/snapshot.h"

namespace neumf {

class BackgroundLoad {
 public:
  // `loader` must outlive this.
  explicit BackgroundLoad(const CheckpointLoader* loader) : loader_(loader) {}

  // As CheckpointLoader::Load(), on another thread. The calling thread calls
  // `meanwhile` at first, and after each Wake() until the load ends. By one
  // thread at a time.
  LoadOutcome Run(const LoadRequest& request,
                  const std::function<void()>& meanwhile);

  // Any thread, at any time.
  void Wake();

 private:
  // False when the load has ended.
  bool WaitForWake();

  const CheckpointLoader* const loader_;

  Mutex mutex_;
  CondVar changed_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace neumf
