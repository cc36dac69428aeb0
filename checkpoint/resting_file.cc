#include "checkpoint/resting_file.h"

#include <algorithm>
#include <atomic>
#include <ctime>
#include <optional>
#include <utility>

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
  uint64_t file = 0;
  absl::Duration begin;
  RestPace pace{1};
  std::optional<StarvationWatch> starvation;  // none: it has its fair share
};

std::optional<StarvationWatch> WatchOfThisThread() {
  if (!TakesOnlyLeftovers()) return std::nullopt;
  const std::optional<ProcessorTime> now = FindProcessorTime();
  if (!now.has_value()) return std::nullopt;
  return StarvationWatch(*now);
}

bool IsStarving(Work* work) {
  if (!work->starvation.has_value()) return false;
  const std::optional<ProcessorTime> now = FindProcessorTime();
  return now.has_value() && work->starvation->IsStarving(*now);
}

uint64_t NextId() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

}  // namespace

absl::Duration RestPace::RestAfter(absl::Duration worked) {
  if (worked <= rested_for_) return absl::ZeroDuration();
  const absl::Duration rest = (worked - rested_for_) * rest_per_work_;
  rested_for_ = worked;
  return std::min(rest, kLongestRest);
}

bool StarvationWatch::IsStarving(const ProcessorTime& now) {
  const absl::Duration worked = now.worked - begin_.worked;
  const absl::Duration window = worked + now.waited - begin_.waited;
  if (window < kWindow) return false;
  begin_ = now;
  return worked < window * kLeastShare;
}

RestingFile::RestingFile(std::unique_ptr<ReadableFile> file, double share,
                         std::function<bool()> others_are_behind,
                         bool ends_when_starved)
    : id_(NextId()),
      file_(std::move(file)),
      share_(share),
      others_are_behind_(std::move(others_are_behind)),
      ends_when_starved_(ends_when_starved) {}

absl::StatusOr<size_t> RestingFile::ReadAt(uint64_t offset,
                                           absl::Span<char> buffer) {
  thread_local Work work;
  const absl::Duration now = ThreadCpuTime();
  if (work.file != id_) {
    work = {id_, now, RestPace(share_), WatchOfThisThread()};
  }
  if (ends_when_starved_ && IsStarving(&work)) {
    return absl::DeadlineExceededError(
        "the processors have nothing left for who reads it");
  }
  const absl::Duration rest = work.pace.RestAfter(now - work.begin);
  if (rest > absl::ZeroDuration()) Rest(rest);
  return file_->ReadAt(offset, buffer);
}

void RestingFile::Rest(absl::Duration rest) const {
  int rests = 0;
  do {
    absl::SleepFor(rest);
  } while (++rests < kMostRests && others_are_behind_ && others_are_behind_());
}

}  // namespace neumf
