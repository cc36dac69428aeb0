#include "checkpoint/resting_file.h"

#include <array>
#include <ctime>
#include <memory>

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

// How often readers of a file ask whether others are behind, when one of them
// has worked for longer than what is free.
int TimesAsked(bool behind, absl::Duration worked) {
  int times = 0;
  MemoryFile content("content");
  RestingFile file(*content.OpenForRead("path"), 0.5, [&] {
    ++times;
    return behind;
  });
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

}  // namespace
}  // namespace neumf
