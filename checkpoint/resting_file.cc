#include "checkpoint/resting_file.h"

#include <algorithm>
#include <ctime>

#include "absl/time/clock.h"

namespace neumf {
namespace {

constexpr absl::Duration kLongestRest = absl::Milliseconds(100);

// Since the thread began. Waiting, for the disk too, is no work.
absl::Duration ThreadCpuTime() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return absl::DurationFromTimespec(time);
}

// What the calling thread has done for one file.
struct Work {
  const RestingFile* file = nullptr;
  absl::Duration begin;
  RestPace pace{1};
};

}  // namespace

absl::Duration RestPace::RestAfter(absl::Duration worked,
                                   bool others_are_behind) {
  if (worked <= rested_for_) return absl::ZeroDuration();
  const absl::Duration rest = (worked - rested_for_) * rest_per_work_ *
                              (others_are_behind ? kTimesWhenBehind : 1);
  rested_for_ = worked;
  return std::min(rest, kLongestRest);
}

absl::StatusOr<size_t> RestingFile::ReadAt(uint64_t offset,
                                           absl::Span<char> buffer) {
  thread_local Work work;
  const absl::Duration now = ThreadCpuTime();
  if (work.file != this) work = {this, now, RestPace(share_)};
  const bool behind = others_are_behind_ && others_are_behind_();
  absl::SleepFor(work.pace.RestAfter(now - work.begin, behind));
  return file_->ReadAt(offset, buffer);
}

}  // namespace neumf
