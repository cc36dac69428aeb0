#include "bench/interleaved.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace neumf {
namespace {

using testing::DoubleEq;
using testing::SizeIs;

TEST(MedianTest, IsTheMiddleValueOrTheMeanOfTheTwo) {
  EXPECT_THAT(Median({3, 1, 2}), DoubleEq(2));
  EXPECT_THAT(Median({4, 1, 2, 10}), DoubleEq(3));
}

TEST(MedianRatioTest, ComparesWithinARound) {
  Measured a;
  Measured b;
  // The machine slowed down tenfold after the first round.
  a.seconds = {2, 20, 20};
  b.seconds = {1, 10, 10};
  EXPECT_THAT(MedianRatio(a, b), DoubleEq(2));
}

// Spins for some time that no clock's resolution hides.
void Work(size_t steps) {
  volatile double sum = 0;
  for (size_t i = 0; i < steps; ++i) sum = sum + 1;
}

InterleavedOptions Rounds(size_t rounds) {
  InterleavedOptions options;
  options.window_seconds = 0.001;
  options.budget_seconds = 0;
  options.min_rounds = rounds;
  options.cpu_time = true;
  return options;
}

TEST(RunInterleavedTest, GivesEachContestantAValueARound) {
  const auto measured =
      RunInterleaved({[] { Work(1000); }, [] { Work(2000); }}, Rounds(3));
  ASSERT_THAT(measured, SizeIs(2));
  EXPECT_THAT(measured[0].seconds, SizeIs(3));
  EXPECT_THAT(measured[1].seconds, SizeIs(3));
}

TEST(RunInterleavedTest, TellsTheSlowerContestant) {
  const auto measured =
      RunInterleaved({[] { Work(20'000); }, [] { Work(200'000); }}, Rounds(9));
  EXPECT_GT(MedianRatio(measured[1], measured[0]), 3);
  EXPECT_LT(MedianRatio(measured[1], measured[0]), 30);
}

TEST(RunInterleavedTest, LetsContestantsTakeTurns) {
  std::string turns;
  const auto take_turn = [&](char name) {
    Work(500'000);  // fills a window
    if (turns.empty() || turns.back() != name) turns += name;
  };
  RunInterleaved({[&] { take_turn('a'); }, [&] { take_turn('b'); }}, Rounds(3));
  EXPECT_EQ(turns, "abababab") << "warm-up and three rounds";
}

TEST(RunForTest, MeasuresEachRunUntilTheTimeIsOver) {
  const Measured measured = RunFor(0.002, [] { Work(1000); });
  EXPECT_THAT(measured.seconds, testing::Not(testing::IsEmpty()));
  EXPECT_LE(measured.Minimum(), measured.Median());
}

}  // namespace
}  // namespace neumf
