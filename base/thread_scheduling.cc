#include "base/thread_scheduling.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <cinttypes>
#include <cstdio>

namespace neumf {
namespace {

constexpr pid_t kThisThread = 0;

bool Set(int policy) {
  const sched_param priority = {};
  return sched_setscheduler(kThisThread, policy, &priority) == 0;
}

}  // namespace

// Threads inherit the policy of who starts them.
ScopedBatchThreads::ScopedBatchThreads()
    : changed_(sched_getscheduler(kThisThread) == SCHED_OTHER &&
               Set(SCHED_BATCH)) {}

ScopedBatchThreads::~ScopedBatchThreads() {
  if (changed_) Set(SCHED_OTHER);
}

bool TakeOnlyLeftovers() {
  return FindProcessorTime().has_value() && Set(SCHED_IDLE);
}

bool TakesOnlyLeftovers() {
  return sched_getscheduler(kThisThread) == SCHED_IDLE;
}

// Nanoseconds, as Documentation/scheduler/sched-stats.rst of Linux says.
std::optional<ProcessorTime> FindProcessorTime() {
  const int file = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  std::array<char, 100> text = {};
  const ssize_t length = read(file, text.data(), text.size() - 1);
  close(file);
  if (length <= 0) return std::nullopt;
  int64_t worked = 0;
  int64_t waited = 0;
  int64_t turns = 0;
  const int found = std::sscanf(text.data(), "%" SCNd64 " %" SCNd64 " %" SCNd64,
                                &worked, &waited, &turns);
  // A thread that runs has had a turn, unless they are not counted.
  if (found != 3 || turns == 0) return std::nullopt;
  return ProcessorTime{absl::Nanoseconds(worked), absl::Nanoseconds(waited)};
}

}  // namespace neumf
