#include "client/rate_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using ::testing::ElementsAre;

// A server that keeps its goal up to a capacity, and a client that keeps up
// with rates up to its own.
class FakeLoad {
 public:
  double server_capacity = 1e9;
  double client_capacity = 1e9;
  absl::Status error;
  std::vector<double> tried;

  absl::StatusOr<RateSearchResult> Search(double start, double lowest = 1) {
    tried.clear();
    return FindHighestRate(start, lowest, /*precision=*/0.05,
                           [this](double rate) -> absl::StatusOr<RateVerdict> {
                             tried.push_back(rate);
                             if (!error.ok()) return error;
                             if (rate > client_capacity)
                               return RateVerdict::kClientTooSlow;
                             return rate > server_capacity
                                        ? RateVerdict::kMissed
                                        : RateVerdict::kKept;
                           });
  }
};

class KnownCapacityTest : public testing::TestWithParam<double> {};

TEST_P(KnownCapacityTest, IsFoundWithinThePrecisionFromEverywhere) {
  FakeLoad load;
  load.server_capacity = GetParam();
  for (const double start : {1.0, 17.0, 500.0, 40'000.0}) {
    const auto found = load.Search(start);

    ASSERT_THAT(found, IsOk());
    EXPECT_LE(found->rate, load.server_capacity);
    EXPECT_GE(found->rate * 1.05, load.server_capacity);
    EXPECT_FALSE(found->limited_by_client);
    EXPECT_LT(load.tried.size(), 25);
  }
}

INSTANTIATE_TEST_SUITE_P(Capacities, KnownCapacityTest,
                         testing::Values(1.3, 16.9, 17.1, 512.0, 99'991.0));

TEST(RateSearchTest, DoublesThenBisects) {
  FakeLoad load;
  load.server_capacity = 350;

  ASSERT_THAT(load.Search(100), IsOk());

  const std::vector<double> first(load.tried.begin(), load.tried.begin() + 3);
  EXPECT_THAT(first, ElementsAre(100, 200, 400));
  EXPECT_NEAR(load.tried[3], 282.84, 0.01);
}

TEST(RateSearchTest, FindsNothingBelowTheLowestRate) {
  FakeLoad load;
  load.server_capacity = 3;

  const auto found = load.Search(40, /*lowest=*/8);

  ASSERT_THAT(found, IsOk());
  EXPECT_EQ(found->rate, 0);
  EXPECT_THAT(load.tried, ElementsAre(40, 20, 10, 8));
}

TEST(RateSearchTest, SaysThatTheClientWasTheLimit) {
  FakeLoad load;
  load.client_capacity = 1000;

  const auto found = load.Search(10);

  ASSERT_THAT(found, IsOk());
  EXPECT_LE(found->rate, 1000);
  EXPECT_GE(found->rate * 1.05, 1000);
  EXPECT_TRUE(found->limited_by_client);
}

TEST(RateSearchTest, BlamesTheServerWhenItIsTheFirstToGiveUp) {
  FakeLoad load;
  load.client_capacity = 300;
  load.server_capacity = 270;

  const auto found = load.Search(100);

  ASSERT_THAT(found, IsOk());
  EXPECT_LE(found->rate, 270);
  EXPECT_FALSE(found->limited_by_client);
}

TEST(RateSearchTest, EndsWithTheErrorOfATrial) {
  FakeLoad load;
  load.error = absl::UnavailableError("gone");

  EXPECT_THAT(load.Search(10), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(load.tried, ElementsAre(10));
}

}  // namespace
}  // namespace neumf
