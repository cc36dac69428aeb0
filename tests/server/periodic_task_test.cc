#include "server/periodic_task.h"

#include <gtest/gtest.h>

#include <atomic>

#include "tests/support/eventually.h"
#include "tests/support/fake_clock.h"

namespace neumf {
namespace {

TEST(PeriodicTaskTest, RunsOnlyAfterItsInterval) {
  FakeClock clock;
  const absl::Duration begin = clock.MonotonicNow();
  std::atomic<int> runs{0};
  const PeriodicTask task("test", absl::Seconds(1), &clock, [&] { ++runs; });
  EXPECT_TRUE(Eventually([&] {
    clock.Advance(absl::Milliseconds(100));
    return runs >= 3;
  }));
  EXPECT_GE(clock.MonotonicNow() - begin, absl::Seconds(3));
}

TEST(PeriodicTaskTest, EndsWithoutWaitingForItsTurn) {
  FakeClock clock;
  std::atomic<int> runs{0};
  {
    PeriodicTask task("test", absl::Hours(1), &clock, [&] { ++runs; });
  }
  EXPECT_EQ(runs, 0);
}

}  // namespace
}  // namespace neumf
