#include "server/queue_delay.h"

#include "gtest/gtest.h"

namespace neumf {
namespace {

using absl::Milliseconds;
using absl::Seconds;

class QueueDelayTest : public testing::Test {
 protected:
  // Calls leave the queue for so long, a millisecond apart.
  void Leave(absl::Duration wait, absl::Duration for_time,
             absl::Duration batch_time = Milliseconds(1)) {
    const absl::Duration end = now_ + for_time;
    while (now_ < end) {
      delay_.Observe(wait, batch_time, now_);
      now_ += Milliseconds(1);
    }
  }

  absl::Duration now_ = Seconds(5);
  QueueDelay delay_;
};

TEST_F(QueueDelayTest, ShortWaitsAreFine) {
  Leave(Milliseconds(4), Seconds(1));
  EXPECT_FALSE(delay_.overloaded());
  EXPECT_EQ(delay_.longest_wait(), absl::InfiniteDuration());
}

TEST_F(QueueDelayTest, LongWaitsOfAWholeIntervalAreNot) {
  Leave(Milliseconds(6), QueueDelay::kInterval);
  EXPECT_FALSE(delay_.overloaded());
  Leave(Milliseconds(6), Milliseconds(1));
  EXPECT_TRUE(delay_.overloaded());
  EXPECT_EQ(delay_.longest_wait(), 2 * QueueDelay::kShortestTarget);
}

TEST_F(QueueDelayTest, OneShortWaitInTheIntervalExcusesTheOthers) {
  for (int i = 0; i < 10; ++i) {
    Leave(Seconds(1), Milliseconds(60));
    Leave(Milliseconds(1), Milliseconds(1));
  }
  EXPECT_FALSE(delay_.overloaded());
}

TEST_F(QueueDelayTest, ABetterIntervalEndsTheOverload) {
  Leave(Milliseconds(6), Milliseconds(201));
  ASSERT_TRUE(delay_.overloaded());
  Leave(Milliseconds(4), Milliseconds(200));
  EXPECT_FALSE(delay_.overloaded());
}

TEST_F(QueueDelayTest, AnEmptyQueueEndsItAtOnce) {
  Leave(Milliseconds(6), Milliseconds(201));
  ASSERT_TRUE(delay_.overloaded());
  delay_.Emptied();
  EXPECT_FALSE(delay_.overloaded());
}

TEST_F(QueueDelayTest, WhatWasLongAgoSaysNothing) {
  Leave(Milliseconds(6), Milliseconds(90));
  now_ += Seconds(10);
  Leave(Milliseconds(6), Milliseconds(1));
  EXPECT_FALSE(delay_.overloaded());
}

TEST_F(QueueDelayTest, LongBatchesMakeLongWaitsFine) {
  Leave(Milliseconds(35), Seconds(1), Milliseconds(20));
  EXPECT_FALSE(delay_.overloaded());
  Leave(Milliseconds(45), Seconds(1), Milliseconds(20));
  EXPECT_TRUE(delay_.overloaded());
  EXPECT_EQ(delay_.longest_wait(), Milliseconds(80));
}

}  // namespace
}  // namespace neumf
