#include "base/clock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "absl/time/clock.h"
#include "base/mutex.h"
#include "tests/support/fake_clock.h"

namespace neumf {
namespace {

// Waits until the deadline has passed or nothing more can be waited for.
bool WaitInLoop(const Clock& clock, absl::Duration deadline,
                const std::atomic<bool>& done) {
  Mutex mutex;
  CondVar condition;
  MutexLock lock(&mutex);
  while (!done) {
    if (!clock.WaitUntil(&condition, &mutex, deadline)) return false;
  }
  return true;
}

TEST(RealClockTest, TellsTheSystemsTime) {
  const auto clock = MakeRealClock();
  const absl::Time before = absl::Now();
  const absl::Time now = clock->WallNow();
  EXPECT_LE(before, now);
  EXPECT_LE(now, absl::Now());
}

TEST(RealClockTest, NeverGoesBack) {
  const auto clock = MakeRealClock();
  absl::Duration last = clock->MonotonicNow();
  for (int i = 0; i < 1000; ++i) {
    const absl::Duration now = clock->MonotonicNow();
    ASSERT_LE(last, now);
    last = now;
  }
}

TEST(RealClockTest, GivesUpAtTheDeadline) {
  const auto clock = MakeRealClock();
  const std::atomic<bool> never{false};
  const absl::Duration now = clock->MonotonicNow();
  EXPECT_FALSE(WaitInLoop(*clock, now - absl::Seconds(1), never));
  const absl::Duration deadline = now + absl::Milliseconds(2);
  EXPECT_FALSE(WaitInLoop(*clock, deadline, never));
  EXPECT_GE(clock->MonotonicNow(), deadline);
}

TEST(RealClockTest, WakesOnASignalWithoutADeadline) {
  const auto clock = MakeRealClock();
  Mutex mutex;
  CondVar condition;
  bool done = false;
  std::thread signaller([&] {
    MutexLock lock(&mutex);
    done = true;
    condition.Signal();
  });
  {
    MutexLock lock(&mutex);
    while (!done) {
      EXPECT_TRUE(
          clock->WaitUntil(&condition, &mutex, absl::InfiniteDuration()));
    }
  }
  signaller.join();
}

TEST(FakeClockTest, StandsStillUntilItIsMoved) {
  FakeClock clock;
  const absl::Time wall = clock.WallNow();
  const absl::Duration monotonic = clock.MonotonicNow();
  EXPECT_EQ(clock.WallNow(), wall);
  clock.Advance(absl::Seconds(3));
  EXPECT_EQ(clock.WallNow(), wall + absl::Seconds(3));
  EXPECT_EQ(clock.MonotonicNow(), monotonic + absl::Seconds(3));
}

TEST(FakeClockTest, WakesThoseWhoseDeadlineItPasses) {
  FakeClock clock;
  const std::atomic<bool> never{false};
  const absl::Duration deadline = clock.MonotonicNow() + absl::Hours(1);
  std::atomic<bool> gave_up{false};
  std::thread waiter([&] {
    EXPECT_FALSE(WaitInLoop(clock, deadline, never));
    gave_up = true;
  });
  clock.Advance(absl::Minutes(59));
  EXPECT_FALSE(gave_up);
  clock.Advance(absl::Minutes(1));
  waiter.join();
}

TEST(FakeClockTest, LetsThoseWhoseConditionHoldsGo) {
  FakeClock clock;
  std::atomic<bool> done{false};
  std::thread waiter(
      [&] { EXPECT_TRUE(WaitInLoop(clock, absl::InfiniteDuration(), done)); });
  done = true;
  waiter.join();
}

}  // namespace
}  // namespace neumf
