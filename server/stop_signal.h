#pragma once

// SIGTERM and SIGINT to wait for, and the watchdog over what follows.
//
// The signals are blocked in the thread that makes this, and so in all threads
// made after it: make it first. One thread takes them:
//
//   first signal before Arm()    exit(0), after WhenStoppedEarly(): nothing is
//                                served yet
//   first signal after Arm()     Wait() returns
//   second signal                exit(3): the drain is not wanted
//   `grace` after the first, or after DrainBegins() if that came before it
//                                exit(3): the drain hangs

#include <functional>
#include <memory>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "server/unique_fd.h"

namespace neumf {

class StopSignal {
 public:
  // `grace` bounds the time from the first signal, or from a drain that begins
  // before it, to the end of the process: nothing that comes later prolongs it.
  // Fails when there are no descriptors left. REQUIRES: `grace` is not zero.
  static absl::StatusOr<std::unique_ptr<StopSignal>> Create(
      absl::Duration grace);
  // Ends the watchdog.
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  // What a signal before Arm() does before the process ends, in another thread,
  // null for nothing; `grace` holds for it, too. When this returns what was set
  // before is not running. Who calls any of these while the process ends so
  // early does not come back.
  void WhenStoppedEarly(std::function<void()> act);
  // Call it before anybody can be told that the server is ready.
  void Arm();
  // Returns after the first signal.
  void Wait();
  // The process is about to end although nobody has told it to. May be called
  // again, which changes nothing. Any thread.
  void DrainBegins();

 private:
  enum class Event { kSignal, kTimeout, kEnd };

  StopSignal(absl::Duration grace, UniqueFd signals, UniqueFd end,
             UniqueFd timer);
  void Run();
  Event Await();
  // Before Arm() it has the process end.
  void TakeFirstSignal();
  void WaitIfEndingEarly() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const absl::Duration grace_;
  const UniqueFd signals_;
  const UniqueFd end_;    // eventfd, written by the destructor
  const UniqueFd timer_;  // timerfd, set when `draining_` is

  Mutex mutex_;
  CondVar received_;
  std::function<void()> when_early_ ABSL_GUARDED_BY(mutex_);
  bool armed_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace neumf
