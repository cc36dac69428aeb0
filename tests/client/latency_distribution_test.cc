#include "client/latency_distribution.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace neumf {
namespace {

// From nanoseconds to minutes, as many of each magnitude.
std::vector<int64_t> RandomNanos(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> exponent(0, 11);
  std::vector<int64_t> nanos(count);
  for (int64_t& value : nanos) {
    value = std::llround(std::pow(10, exponent(random)));
  }
  return nanos;
}

LatencyDistribution Record(const std::vector<int64_t>& nanos) {
  LatencyDistribution distribution;
  for (const int64_t value : nanos) {
    distribution.Record(absl::Nanoseconds(value));
  }
  return distribution;
}

TEST(LatencyDistributionTest, IsWithinItsErrorAboveEverySortedValue) {
  std::vector<int64_t> nanos = RandomNanos(9973, /*seed=*/1);
  const LatencyDistribution distribution = Record(nanos);
  std::sort(nanos.begin(), nanos.end());

  ASSERT_EQ(distribution.count(), 9973);
  for (size_t i = 0; i < nanos.size(); ++i) {
    const auto rank = static_cast<int64_t>(i) + 1;
    const auto found = static_cast<double>(
        absl::ToInt64Nanoseconds(distribution.AtRank(rank)));
    const auto exact = static_cast<double>(nanos[i]);
    ASSERT_GE(found, exact) << rank;
    ASSERT_LE(found, exact * (1 + LatencyDistribution::kRelativeError)) << rank;
  }
}

TEST(LatencyDistributionTest, IsExactForTheLongest) {
  const std::vector<int64_t> nanos = {3, 1'234'567'891, 70'001};
  const LatencyDistribution distribution = Record(nanos);

  EXPECT_EQ(distribution.max(), absl::Nanoseconds(1'234'567'891));
  EXPECT_EQ(distribution.AtRank(3), distribution.max());
}

TEST(LatencyDistributionTest, AddsUpToAllThatWasRecorded) {
  const std::vector<int64_t> first = RandomNanos(101, /*seed=*/2);
  const std::vector<int64_t> second = RandomNanos(67, /*seed=*/3);
  std::vector<int64_t> both = first;
  both.insert(both.end(), second.begin(), second.end());

  LatencyDistribution sum = Record(first);
  sum.Add(Record(second));

  const LatencyDistribution expected = Record(both);
  ASSERT_EQ(sum.count(), expected.count());
  EXPECT_EQ(sum.max(), expected.max());
  for (int64_t rank = 1; rank <= sum.count(); ++rank) {
    ASSERT_EQ(sum.AtRank(rank), expected.AtRank(rank));
  }
}

TEST(LatencyDistributionTest, TakesTheShortestAndTheLongestThereAre) {
  LatencyDistribution distribution;
  distribution.Record(-absl::Seconds(1));
  distribution.Record(absl::InfiniteDuration());

  EXPECT_EQ(distribution.AtRank(1), absl::ZeroDuration());
  EXPECT_EQ(distribution.AtRank(2), absl::Nanoseconds(INT64_MAX));
}

TEST(RankOfQuantileTest, IsTheSmallestThatTheShareDoesNotExceed) {
  EXPECT_EQ(RankOfQuantile(0.5, 1), 1);
  EXPECT_EQ(RankOfQuantile(0.5, 4), 2);
  EXPECT_EQ(RankOfQuantile(0.5, 5), 3);
  EXPECT_EQ(RankOfQuantile(0.99, 100), 99);
  EXPECT_EQ(RankOfQuantile(0.99, 101), 100);
  EXPECT_EQ(RankOfQuantile(0.999, 1000), 999);
  EXPECT_EQ(RankOfQuantile(0, 7), 1);
  EXPECT_EQ(RankOfQuantile(1, 7), 7);
}

}  // namespace
}  // namespace neumf
