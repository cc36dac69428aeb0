#include "data/user_draws.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace neumf {
namespace {

std::vector<uint32_t> FirstDraws(UserDraws draws) {
  std::vector<uint32_t> values;
  for (int k = 0; k < 8; ++k) values.push_back(draws.Below(1000000));
  return values;
}

TEST(UserDrawsTest, DependOnSeedPurposeAndUser) {
  const std::vector<uint32_t> draws = FirstDraws(UserDraws(1, 2, "ann"));
  EXPECT_EQ(draws, FirstDraws(UserDraws(1, 2, "ann")));
  EXPECT_NE(draws, FirstDraws(UserDraws(2, 2, "ann")));
  EXPECT_NE(draws, FirstDraws(UserDraws(1, 1, "ann")));
  EXPECT_NE(draws, FirstDraws(UserDraws(2, 1, "ann")));
  EXPECT_NE(draws, FirstDraws(UserDraws(1, 2, "bob")));
}

TEST(UserDrawsTest, BelowIsEven) {
  for (uint32_t bound : {1U, 2U, 3U, 7U}) {
    UserDraws draws(0, 0, "ann");
    std::vector<int> counts(bound);
    for (uint32_t k = 0; k < 1000 * bound; ++k) ++counts[draws.Below(bound)];
    for (int count : counts) EXPECT_NEAR(count, 1000, 200);
  }
}

TEST(UserDrawsTest, ASampleHasNoRepeatsAndLosesNothing) {
  for (size_t count : {0, 1, 5, 9, 10}) {
    std::vector<uint32_t> values(10);
    std::iota(values.begin(), values.end(), 0U);
    UserDraws(3, 4, "ann").MoveSampleToFront(count, &values);
    EXPECT_THAT(values,
                testing::UnorderedElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  }
}

}  // namespace
}  // namespace neumf
