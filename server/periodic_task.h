#pragma once

// Calls a function again and again on a thread of its own.

#include <functional>
#include <string>
#include <thread>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace neumf {

class PeriodicTask {
 public:
  // The thread carries `name`; `clock` must outlive this.
  PeriodicTask(absl::string_view name, absl::Duration interval,
               const Clock* clock, std::function<void()> task);
  // Returns when the thread has ended.
  ~PeriodicTask();
  PeriodicTask(const PeriodicTask&) = delete;
  PeriodicTask& operator=(const PeriodicTask&) = delete;

 private:
  void Run();
  // False when it is time to end.
  bool WaitForTurn();

  const std::string name_;
  const absl::Duration interval_;
  const Clock* const clock_;
  const std::function<void()> task_;

  Mutex mutex_;
  CondVar wake_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace neumf
