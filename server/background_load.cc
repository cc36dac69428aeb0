#include "server/background_load.h"

#include <future>
#include <system_error>

#include "base/thread_pool.h"

namespace neumf {

LoadOutcome BackgroundLoad::Run(const LoadRequest& request,
                                const std::function<void()>& meanwhile) {
  {
    MutexLock lock(&mutex_);
    ended_ = false;
    woken_ = true;
  }
  const auto load = [&] {
    SetThreadName("ckpt-load");
    LoadOutcome outcome = loader_->Load(request);
    MutexLock lock(&mutex_);
    ended_ = true;
    changed_.Signal();
    return outcome;
  };
  std::future<LoadOutcome> outcome;
  try {
    outcome = std::async(std::launch::async, load);
  } catch (const std::system_error& error) {
    // No thread could be started; that passes.
    LoadOutcome failed;
    failed.result = ReloadResult::kIoError;
    failed.reason = error.what();
    return failed;
  }
  while (WaitForWake()) meanwhile();
  return outcome.get();
}

void BackgroundLoad::Wake() {
  MutexLock lock(&mutex_);
  woken_ = true;
  changed_.Signal();
}

bool BackgroundLoad::WaitForWake() {
  MutexLock lock(&mutex_);
  const absl::Duration next = clock_->MonotonicNow() + interval_;
  while (!ended_ && !woken_ && clock_->WaitUntil(&changed_, &mutex_, next)) {
  }
  woken_ = false;
  return !ended_;
}

}  // namespace neumf
