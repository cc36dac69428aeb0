#include "model/seen_sets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint64_t kNumItems = 10;

auto Refused(const char* reason) {
  return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(reason));
}

TEST(SeenSetsTest, GivesEachUserItsRow) {
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const SeenSets sets,
      SeenSets::FromRows({0, 2, 2, 3}, {4, 9, 0}, kNumItems));
  EXPECT_FALSE(sets.empty());
  EXPECT_THAT(sets.row(0), ElementsAre(4, 9));
  EXPECT_THAT(sets.row(1), IsEmpty());
  EXPECT_THAT(sets.row(2), ElementsAre(0));
}

TEST(SeenSetsTest, GiveEveryUserAnEmptyRowWhenAbsent) {
  EXPECT_TRUE(SeenSets().empty());
  EXPECT_THAT(SeenSets().row(123), IsEmpty());
  EXPECT_EQ(SeenSets().resident_bytes(), 0U);
}

TEST(SeenSetsTest, MayHoldNoItemAtAll) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const SeenSets sets,
                             SeenSets::FromRows({0, 0, 0}, {}, kNumItems));
  EXPECT_THAT(sets.row(1), IsEmpty());
}

TEST(SeenSetsTest, RefuseRowsThatDoNotAscend) {
  EXPECT_THAT(SeenSets::FromRows({0, 1, 3}, {5, 4, 3}, kNumItems),
              Refused("user row 1: items do not ascend"));
  EXPECT_THAT(SeenSets::FromRows({0, 2}, {4, 4}, kNumItems),
              Refused("user row 0: items do not ascend"));
}

TEST(SeenSetsTest, LetTheNextRowStartLower) {
  NEUMF_EXPECT_OK(SeenSets::FromRows({0, 1, 2}, {9, 0}, kNumItems));
}

TEST(SeenSetsTest, RefuseItemsOutsideTheCatalog) {
  NEUMF_EXPECT_OK(SeenSets::FromRows({0, 1}, {9}, kNumItems));
  EXPECT_THAT(SeenSets::FromRows({0, 0, 1}, {10}, kNumItems),
              Refused("user row 1: item row 10 of 10 items"));
}

TEST(SeenSetsTest, RefuseOffsetsThatDoNotFitTheItems) {
  EXPECT_THAT(SeenSets::FromRows({}, {}, kNumItems), Refused("missing"));
  EXPECT_THAT(SeenSets::FromRows({0, 1}, {1, 2}, kNumItems), Refused("0 to 1"));
  EXPECT_THAT(SeenSets::FromRows({1, 2}, {1, 2}, kNumItems), Refused("1 to 2"));
  EXPECT_THAT(SeenSets::FromRows({0, 2, 1, 2}, {1, 2}, kNumItems),
              Refused("row 1"));
}

}  // namespace
}  // namespace neumf
