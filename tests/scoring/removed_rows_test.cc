#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "scoring/eligibility.h"

namespace neumf {
namespace {

uint64_t Bits(const std::vector<int>& set) {
  uint64_t word = 0;
  for (int bit : set) word |= uint64_t{1} << bit;
  return word;
}

class RemovedRowsTest : public testing::Test {
 protected:
  RemovedRowsTest() {
    query_.seen = seen_;
    query_.excluded = excluded_;
    removed_ = RemovedRows(query_);
  }

  const std::vector<uint32_t> seen_ = {0, 2, 63, 64, 200, 0xFFFFFFFE};
  const std::vector<uint32_t> excluded_ = {2, 5, 130};
  RankQuery query_;
  RemovedRows removed_;
};

TEST_F(RemovedRowsTest, GivesSeenAndExcludedRowsAsBits) {
  EXPECT_EQ(removed_.Word(0), Bits({0, 2, 5, 63}));
  EXPECT_EQ(removed_.Word(64), Bits({0}));
  EXPECT_EQ(removed_.Word(128), Bits({2}));
  EXPECT_EQ(removed_.Word(192), Bits({8}));
  EXPECT_EQ(removed_.Word(256), 0);
}

TEST_F(RemovedRowsTest, GivesAWordAgain) {
  EXPECT_EQ(removed_.Word(64), removed_.Word(64));
}

TEST_F(RemovedRowsTest, SkipsWords) {
  EXPECT_EQ(removed_.Word(192), Bits({8}));
  EXPECT_EQ(removed_.Word(0xFFFFFFC0), Bits({62}));
}

TEST_F(RemovedRowsTest, BeginsAnywhere) {
  EXPECT_EQ(removed_.Word(1), Bits({1, 4, 62, 63}));
}

TEST_F(RemovedRowsTest, FindsRowsAfterSeekingBack) {
  EXPECT_TRUE(removed_.Contains(200));
  removed_.SeekTo(2);
  EXPECT_TRUE(removed_.Contains(2));
  EXPECT_FALSE(removed_.Contains(3));
  EXPECT_TRUE(removed_.Contains(5));
  EXPECT_TRUE(removed_.Contains(63));
}

}  // namespace
}  // namespace neumf
