#include "server/periodic_task.h"

#include <utility>

#include "base/thread_pool.h"

namespace neumf {

PeriodicTask::PeriodicTask(absl::string_view name, absl::Duration interval,
                           const Clock* clock, std::function<void()> task)
    : name_(name),
      interval_(interval),
      clock_(clock),
      task_(std::move(task)),
      thread_([this] { Run(); }) {}

PeriodicTask::~PeriodicTask() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  wake_.SignalAll();
  thread_.join();
}

void PeriodicTask::Run() {
  SetThreadName(name_);
  while (WaitForTurn()) task_();
}

bool PeriodicTask::WaitForTurn() {
  const absl::Duration turn = clock_->MonotonicNow() + interval_;
  MutexLock lock(&mutex_);
  while (!stopping_ && clock_->MonotonicNow() < turn) {
    clock_->WaitUntil(&wake_, &mutex_, turn);
  }
  return !stopping_;
}

}  // namespace neumf
