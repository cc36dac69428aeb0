#include "base/thread_scheduling.h"

#include <sched.h>

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

}  // namespace neumf
