#include "base/thread_scheduling.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <thread>

#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace neumf {
namespace {

int PolicyOfNewThread() {
  int policy = -1;
  std::thread([&] { policy = sched_getscheduler(0); }).join();
  return policy;
}

TEST(ScopedBatchThreadsTest, IsForThreadsThatStartWhileItLives) {
  const int before = sched_getscheduler(0);
  {
    const ScopedBatchThreads batch;
    EXPECT_EQ(PolicyOfNewThread(),
              before == SCHED_OTHER ? SCHED_BATCH : before);
  }
  EXPECT_EQ(sched_getscheduler(0), before);
  EXPECT_EQ(PolicyOfNewThread(), before);
}

TEST(ScopedBatchThreadsTest, KeepsTheNiceValue) {
  std::thread([] {
    const auto self = static_cast<id_t>(gettid());
    const int nice = getpriority(PRIO_PROCESS, self) + 1;
    ASSERT_EQ(setpriority(PRIO_PROCESS, self, nice), 0);
    { const ScopedBatchThreads batch; }
    EXPECT_EQ(getpriority(PRIO_PROCESS, self), nice);
  }).join();
}

TEST(ScopedBatchThreadsTest, LeavesAnotherPolicyAlone) {
  std::thread([] {
    const sched_param priority = {};
    ASSERT_EQ(sched_setscheduler(0, SCHED_IDLE, &priority), 0);
    {
      const ScopedBatchThreads batch;
      EXPECT_EQ(PolicyOfNewThread(), SCHED_IDLE);
    }
    EXPECT_EQ(sched_getscheduler(0), SCHED_IDLE);
  }).join();
}

TEST(LeftoversTest, AreAllThatAThreadAndItsThreadsTake) {
  ASSERT_FALSE(TakesOnlyLeftovers());
  std::thread([] {
    if (!TakeOnlyLeftovers()) GTEST_SKIP() << "the kernel counts no waits";
    EXPECT_TRUE(TakesOnlyLeftovers());
    EXPECT_EQ(PolicyOfNewThread(), SCHED_IDLE);
  }).join();
  EXPECT_FALSE(TakesOnlyLeftovers());
}

TEST(ProcessorTimeTest, CountsWorkAndNoSleep) {
  const auto before = FindProcessorTime();
  if (!before.has_value()) GTEST_SKIP() << "the kernel counts no waits";
  absl::SleepFor(absl::Milliseconds(50));
  const auto slept = FindProcessorTime();
  ASSERT_TRUE(slept.has_value());
  EXPECT_LT(slept->worked - before->worked, absl::Milliseconds(50));
  EXPECT_GE(slept->waited, before->waited);
}

}  // namespace
}  // namespace neumf
