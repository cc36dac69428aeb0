#pragma once

// How the kernel treats threads that want a processor.

namespace neumf {

// Threads that its thread starts while it lives are of SCHED_BATCH (sched(7)):
// when they wake they wait for their turn, in place of taking the processor from
// who has it. Meant for threads that wake often and do little each time, beside
// others that compute: what gathers meanwhile is done at one go. Where a
// processor is idle it changes nothing.
//
// Where the thread is scheduled otherwise already, or may not choose, it does
// nothing.
class ScopedBatchThreads {
 public:
  ScopedBatchThreads();
  ~ScopedBatchThreads();
  ScopedBatchThreads(const ScopedBatchThreads&) = delete;
  ScopedBatchThreads& operator=(const ScopedBatchThreads&) = delete;

 private:
  bool changed_;
};

}  // namespace neumf
