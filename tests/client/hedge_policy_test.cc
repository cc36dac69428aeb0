#include "client/hedge_policy.h"

#include <gtest/gtest.h>

namespace neumf {
namespace {

void Record(int count, absl::Duration latency, HedgePolicy* policy) {
  for (int i = 0; i < count; ++i) policy->RecordCall(latency);
}

TEST(HedgePolicyTest, HasNoDelayBeforeItHasSeenEnoughCalls) {
  HedgePolicy policy;
  Record(63, absl::Milliseconds(1), &policy);
  EXPECT_FALSE(policy.Delay().has_value());

  Record(1, absl::Milliseconds(1), &policy);
  EXPECT_EQ(policy.Delay(), absl::Milliseconds(1));
}

TEST(HedgePolicyTest, WaitsAsLongAsAllButTheSlowestTwentieth) {
  HedgePolicy policy;
  for (int i = 0; i < 512; ++i) {
    // 1 to 512 ms in an order of its own: 7 and 512 share no factor.
    policy.RecordCall(absl::Milliseconds(i * 7 % 512 + 1));
  }

  EXPECT_EQ(policy.Delay(), absl::Milliseconds(512 * 95 / 100 + 1));
}

TEST(HedgePolicyTest, ForgetsOldCalls) {
  HedgePolicy policy;
  Record(1000, absl::Seconds(1), &policy);
  Record(576, absl::Milliseconds(3), &policy);

  EXPECT_EQ(policy.Delay(), absl::Milliseconds(3));
}

TEST(HedgePolicyTest, PaysForATwentiethOfTheCalls) {
  HedgePolicy policy;
  int num_hedges = 0;
  for (int i = 0; i < 2003; ++i) {
    if (policy.TryHedge()) ++num_hedges;
    policy.RecordCall(absl::Milliseconds(1));
  }

  EXPECT_GE(num_hedges, 99);
  EXPECT_LE(num_hedges, 100);
}

TEST(HedgePolicyTest, SavesUpAFewCallsAndNoMore) {
  HedgePolicy policy;
  EXPECT_FALSE(policy.TryHedge());
  Record(10'000, absl::Milliseconds(1), &policy);

  for (int i = 0; i < 5; ++i) EXPECT_TRUE(policy.TryHedge());
  EXPECT_FALSE(policy.TryHedge());
}

}  // namespace
}  // namespace neumf
