#pragma once

// How the kernel treats threads that want a processor.

#include <optional>

#include "absl/time/time.h"

namespace neumf {

// Threads that its thread starts while it lives are of SCHED_BATCH (sched(7)):
// when they wake they wait for their turn, in place of taking the processor
// from who has it. Meant for threads that wake often and do little each time,
// beside others that compute: what gathers meanwhile is done at one go. Where a
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

// Has the calling thread, and those that it starts from now on, take only what
// nobody else wants of the processors (SCHED_IDLE): all others that wake have
// its place at once, which a nice value alone does not bring about. Where
// processors are full it gets next to nothing, and it cannot go back, as that
// takes a privilege: so whoever asks for this watches FindProcessorTime().
// False where that says nothing, or the kernel does not allow it; then nothing
// changes.
bool TakeOnlyLeftovers();
// Whether the calling thread is one of those.
bool TakesOnlyLeftovers();

// Of a thread, since it began.
struct ProcessorTime {
  absl::Duration worked;
  absl::Duration waited;  // for a processor; not for a disk or a lock
};
// Of the calling thread; none where the kernel does not count it
// (CONFIG_SCHED_INFO).
std::optional<ProcessorTime> FindProcessorTime();

}  // namespace neumf
