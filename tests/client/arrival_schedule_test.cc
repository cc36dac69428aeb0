#include "client/arrival_schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace neumf {
namespace {

using Kind = ArrivalSchedule::Kind;

std::vector<double> DueSeconds(Kind kind, double rate, uint64_t seed,
                               int count) {
  ArrivalSchedule schedule(kind, rate, seed);
  std::vector<double> due;
  for (int i = 0; i < count; ++i) {
    due.push_back(absl::ToDoubleSeconds(schedule.Next()));
  }
  return due;
}

TEST(ArrivalScheduleTest, HasEqualGapsThatDoNotDrift) {
  constexpr int kCalls = 1'000'001;
  const std::vector<double> due = DueSeconds(Kind::kUniform, 3000, 1, kCalls);

  EXPECT_EQ(due[0], 0);
  EXPECT_NEAR(due[1], 1.0 / 3000, 1e-9);
  EXPECT_NEAR(due[kCalls - 1], 1e6 / 3000, 1e-9);
}

TEST(ArrivalScheduleTest, HasExponentialGapsOfTheRightMeanAndSpread) {
  constexpr int kCalls = 100'003;
  const double mean = 1.0 / 250;
  const std::vector<double> due = DueSeconds(Kind::kPoisson, 250, 7, kCalls);

  double previous = 0;
  double squares = 0;
  int above_mean = 0;
  for (const double now : due) {
    const double gap = now - previous;
    ASSERT_GE(gap, 0);
    squares += (gap - mean) * (gap - mean);
    if (gap > mean) ++above_mean;
    previous = now;
  }

  // Each within about five standard errors.
  EXPECT_NEAR(due.back() / kCalls, mean, 0.016 * mean);
  EXPECT_NEAR(std::sqrt(squares / kCalls), mean, 0.025 * mean);
  EXPECT_NEAR(static_cast<double>(above_mean) / kCalls, std::exp(-1), 0.008);
}

TEST(ArrivalScheduleTest, IsDecidedByItsSeed) {
  EXPECT_EQ(DueSeconds(Kind::kPoisson, 10, 5, 17),
            DueSeconds(Kind::kPoisson, 10, 5, 17));
  EXPECT_NE(DueSeconds(Kind::kPoisson, 10, 5, 17),
            DueSeconds(Kind::kPoisson, 10, 6, 17));
}

}  // namespace
}  // namespace neumf
