#include "server/scoring_pace.h"

#include "gtest/gtest.h"

namespace neumf {
namespace {

using absl::Milliseconds;
using absl::Seconds;

double Millis(absl::Duration time) { return absl::ToDoubleMilliseconds(time); }

TEST(ScoringPaceTest, KnowsNothingAtFirst) {
  const ScoringPace pace(1);
  EXPECT_FALSE(pace.known());
  EXPECT_EQ(pace.TimeFor(100), absl::ZeroDuration());
}

TEST(ScoringPaceTest, GoesByTheUser) {
  ScoringPace pace(1);
  pace.Observe(10, Milliseconds(20));
  EXPECT_TRUE(pace.known());
  EXPECT_NEAR(Millis(pace.TimeFor(1)), 2, 1e-6);
  EXPECT_NEAR(Millis(pace.TimeFor(30)), 60, 1e-6);
}

TEST(ScoringPaceTest, GoesByThePassWhereOneTakesMany) {
  ScoringPace pace(256);
  pace.Observe(1, Milliseconds(3));
  EXPECT_NEAR(Millis(pace.TimeFor(256)), 3, 1e-6);
  EXPECT_NEAR(Millis(pace.TimeFor(257)), 6, 1e-6);
}

TEST(ScoringPaceTest, FollowsWhatChanges) {
  ScoringPace pace(1);
  for (int i = 0; i < 100; ++i) pace.Observe(4, Milliseconds(4));
  for (int i = 0; i < 100; ++i) pace.Observe(4, Milliseconds(40));
  EXPECT_NEAR(Millis(pace.TimeFor(1)), 10, .1);
  for (int i = 0; i < 100; ++i) pace.Observe(4, Milliseconds(4));
  EXPECT_NEAR(Millis(pace.TimeFor(1)), 1, .1);
}

TEST(ScoringPaceTest, OneStallCountsLittle) {
  ScoringPace pace(1);
  for (int i = 0; i < 100; ++i) pace.Observe(1, Milliseconds(1));
  pace.Observe(1, Seconds(3600));
  EXPECT_LT(Millis(pace.TimeFor(1)), 1.2);
}

TEST(ScoringPaceTest, CountsTheUsersWithinATime) {
  ScoringPace pace(1);
  pace.Observe(1, Milliseconds(1));
  EXPECT_EQ(pace.UsersWithin(Milliseconds(7), 512), 7U);
  EXPECT_EQ(pace.UsersWithin(absl::Microseconds(8001), 512), 8U);
  EXPECT_EQ(pace.UsersWithin(Milliseconds(31), 512), 31U);
  EXPECT_EQ(pace.UsersWithin(Seconds(9), 512), 512U);
  EXPECT_EQ(pace.UsersWithin(Seconds(9), 100), 100U);
  EXPECT_EQ(pace.UsersWithin(absl::Microseconds(1), 512), 1U);
}

TEST(ScoringPaceTest, UsersOfAPassCountTogether) {
  ScoringPace pace(256);
  pace.Observe(1, Milliseconds(3));
  EXPECT_EQ(pace.UsersWithin(Milliseconds(2), 16'384), 1U);
  EXPECT_EQ(pace.UsersWithin(Milliseconds(7), 16'384), 512U);
}

}  // namespace
}  // namespace neumf
