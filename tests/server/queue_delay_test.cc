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

  void Overload() {
    Leave(Milliseconds(6), 2 * QueueDelay::kInterval + Milliseconds(1));
    ASSERT_TRUE(Overloaded());
  }
  bool Overloaded() const {
    return delay_.longest_wait() < absl::InfiniteDuration();
  }

  absl::Duration now_ = Seconds(5);
  QueueDelay delay_;
};

TEST_F(QueueDelayTest, ShortWaitsAreFine) {
  Leave(Milliseconds(4), Seconds(1));
  EXPECT_FALSE(Overloaded());
  EXPECT_FALSE(delay_.Refuses(Seconds(1), now_));
}

TEST_F(QueueDelayTest, LongWaitsOfAWholeIntervalAreNot) {
  Leave(Milliseconds(6), QueueDelay::kInterval);
  EXPECT_FALSE(Overloaded());
  Leave(Milliseconds(6), Milliseconds(1));
  EXPECT_TRUE(Overloaded());
  EXPECT_TRUE(delay_.Refuses(Milliseconds(11), now_));
  EXPECT_FALSE(delay_.Refuses(Milliseconds(10), now_));
  EXPECT_GT(delay_.longest_wait(), QueueDelay::kInterval);
}

TEST_F(QueueDelayTest, OneShortWaitInTheIntervalExcusesTheOthers) {
  for (int i = 0; i < 50; ++i) {
    Leave(Seconds(1), Milliseconds(60));
    Leave(Milliseconds(1), Milliseconds(1));
  }
  EXPECT_FALSE(Overloaded());
}

TEST_F(QueueDelayTest, AQueueThatEmptiesDoesNotStand) {
  for (int i = 0; i < 50; ++i) {
    Leave(Seconds(1), Milliseconds(60));
    delay_.Emptied();
  }
  EXPECT_FALSE(Overloaded());
}

TEST_F(QueueDelayTest, TheOverloadLastsAsLongAsCallsHaveToBeRefused) {
  Overload();
  EXPECT_TRUE(delay_.Refuses(Milliseconds(11), now_));
  for (int i = 0; i < 100; ++i) {
    now_ += QueueDelay::kCalm - Milliseconds(1);
    EXPECT_FALSE(delay_.Refuses(Milliseconds(9), now_));
    EXPECT_TRUE(delay_.Refuses(Milliseconds(11), now_));
    delay_.Emptied();
  }
  now_ += QueueDelay::kCalm;
  EXPECT_FALSE(delay_.Refuses(Milliseconds(9), now_));
  EXPECT_FALSE(Overloaded());
  EXPECT_FALSE(delay_.Refuses(Milliseconds(11), now_));
}

TEST_F(QueueDelayTest, WhatWasLongAgoSaysNothing) {
  Leave(Milliseconds(6), Milliseconds(90));
  now_ += Seconds(10);
  Leave(Milliseconds(6), Milliseconds(1));
  EXPECT_FALSE(Overloaded());
}

TEST_F(QueueDelayTest, LongBatchesMakeLongWaitsFine) {
  Leave(Milliseconds(35), Seconds(1), Milliseconds(20));
  EXPECT_FALSE(Overloaded());
  Leave(Milliseconds(45), Seconds(1), Milliseconds(20));
  EXPECT_TRUE(Overloaded());
  EXPECT_TRUE(delay_.Refuses(Milliseconds(81), now_));
  EXPECT_FALSE(delay_.Refuses(Milliseconds(80), now_));
}

}  // namespace
}  // namespace neumf
