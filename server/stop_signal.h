#pragma once

// SIGTERM and SIGINT to wait for, and the watchdog over what follows.
//
// The signals are blocked in the thread that makes this, and so in all threads
// made after it: make it first. One thread takes them:
//
//   first signal, before Arm()  -> exit(0): nothing is served that could be
//   drained first signal, after Arm()   -> Wait() returns second signal, or
//   `grace` after the first             -> exit(3): the drain hangs, or is not
//   wanted

#include <thread>

#include "absl/time/time.h"
#include "base/mutex.h"
#include "server/unique_fd.h"

namespace neumf {

class StopSignal {
 public:
  // `grace` bounds the time from the first signal to the end of the process.
  explicit StopSignal(absl::Duration grace);
  // Ends the watchdog.
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  void Arm();
  // Returns after the first signal.
  void Wait();

 private:
  enum class Outcome { kSignal, kTimeout, kEnd };

  void Run();
  Outcome AwaitSignal(absl::Duration timeout);
  // False before Arm().
  bool TakeFirstSignal();

  const absl::Duration grace_;
  const UniqueFd signals_;
  const UniqueFd end_;  // eventfd, written by the destructor

  Mutex mutex_;
  CondVar received_;
  bool armed_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace neumf
