#include "checkpoint/resting_file.h"

#include <sched.h>

#include <array>
#include <atomic>
#include <ctime>
#include <memory>
#include <thread>

#include "gtest/gtest.h"
#include "tests/checkpoint/memory_file.h"

namespace neumf {
namespace {

absl::Duration ThreadCpuTime() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return absl::DurationFromTimespec(time);
}

TEST(RestPaceTest, TheFirstMomentsAreFree) {
  RestPace pace(0.25);
  EXPECT_EQ(pace.RestAfter(absl::Milliseconds(1)), absl::ZeroDuration());
  EXPECT_EQ(pace.RestAfter(absl::Milliseconds(20)), absl::ZeroDuration());
}

TEST(RestPaceTest, WorkIsPaidForOnce) {
  RestPace pace(0.25);
  EXPECT_EQ(pace.RestAfter(absl::Milliseconds(22)), absl::Milliseconds(6));
  EXPECT_EQ(pace.RestAfter(absl::Milliseconds(22)), absl::ZeroDuration());
  EXPECT_EQ(pace.RestAfter(absl::Milliseconds(23)), absl::Milliseconds(3));
}

TEST(RestPaceTest, NoRestIsLong) {
  RestPace pace(0.25);
  EXPECT_EQ(pace.RestAfter(absl::Hours(1)), absl::Milliseconds(100));
  EXPECT_EQ(pace.RestAfter(absl::Hours(2)), absl::Milliseconds(100));
}

TEST(RestPaceTest, WhoMayWorkAllTheTimeNeverRests) {
  RestPace pace(1);
  EXPECT_EQ(pace.RestAfter(absl::Hours(1)), absl::ZeroDuration());
}

ProcessorTime At(absl::Duration worked, absl::Duration waited) {
  return {worked, waited};
}

TEST(StarvationWatchTest, LooksAtAWholeWindow) {
  StarvationWatch watch(At(absl::Seconds(7), absl::Seconds(9)));
  EXPECT_FALSE(
      watch.IsStarving(At(absl::Seconds(7), absl::Milliseconds(13'999))));
  EXPECT_TRUE(watch.IsStarving(At(absl::Seconds(7), absl::Seconds(14))));
}

TEST(StarvationWatchTest, AThirtySecondIsEnough) {
  StarvationWatch watch(At(absl::ZeroDuration(), absl::ZeroDuration()));
  const absl::Duration worked = absl::Milliseconds(10);
  EXPECT_FALSE(watch.IsStarving(At(worked * 32, worked * 31 * 32)));
  EXPECT_TRUE(watch.IsStarving(At(worked * 63, worked * 31 * 64 + worked)));
}

TEST(StarvationWatchTest, EachWindowCountsAlone) {
  StarvationWatch watch(At(absl::ZeroDuration(), absl::ZeroDuration()));
  EXPECT_FALSE(watch.IsStarving(At(absl::Hours(1), absl::ZeroDuration())));
  EXPECT_TRUE(watch.IsStarving(At(absl::Hours(1), absl::Seconds(5))));
}

// How often readers of a file ask whether others are behind, when one of them
// has worked for longer than what is free.
int TimesAsked(bool behind, absl::Duration worked) {
  int times = 0;
  MemoryFile content("content");
  const auto others = [&] {
    ++times;
    return behind;
  };
  RestingFile file(*content.OpenForRead("path"), 0.5, others,
                   /*ends_when_starved=*/true);
  std::array<char, 4> buffer;
  EXPECT_TRUE(file.ReadAt(0, absl::MakeSpan(buffer)).ok());
  const absl::Duration begin = ThreadCpuTime();
  while (ThreadCpuTime() - begin < worked) {
  }
  EXPECT_TRUE(file.ReadAt(0, absl::MakeSpan(buffer)).ok());
  return times;
}

TEST(RestingFileTest, RestsAgainWhileOthersAreBehind) {
  constexpr auto kMuch = absl::Milliseconds(22);
  EXPECT_EQ(TimesAsked(/*behind=*/false, kMuch), 1);
  EXPECT_EQ(TimesAsked(/*behind=*/true, kMuch), RestingFile::kMostRests - 1);
}

TEST(RestingFileTest, WhoHasDoneLittleDoesNotRest) {
  EXPECT_EQ(TimesAsked(/*behind=*/true, absl::ZeroDuration()), 0);
}

// Keeps the processor of the calling thread busy, and that thread on it.
class Hog {
 public:
  Hog() {
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(sched_getcpu(), &here);
    EXPECT_EQ(sched_setaffinity(0, sizeof(here), &here), 0);
    thread_ = std::thread([this] {
      while (!stop_) {
      }
    });
  }
  ~Hog() {
    stop_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;  // on the same, which it inherits
};

TEST(RestingFileTest, AReaderThatStarvesIsTold) {
  MemoryFile content("content");
  RestingFile file(*content.OpenForRead("path"), 0.5, nullptr,
                   /*ends_when_starved=*/true);
  std::thread([&] {
    const Hog hog;
    if (!TakeOnlyLeftovers()) GTEST_SKIP() << "the kernel counts no waits";
    std::array<char, 4> buffer;
    absl::Status read;
    while (read.ok()) read = file.ReadAt(0, absl::MakeSpan(buffer)).status();
    EXPECT_EQ(read.code(), absl::StatusCode::kDeadlineExceeded) << read;
    EXPECT_TRUE(TakesOnlyLeftovers());
  }).join();
}

}  // namespace
}  // namespace neumf
