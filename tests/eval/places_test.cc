#include "eval/places.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class PlaceFinderTest : public testing::Test {
 protected:
  const Places& Find(const std::vector<ScoredRow>& items,
                     const std::vector<uint32_t>& held_out,
                     const std::vector<uint32_t>& demoted = {}) {
    return finder_.Find(items, held_out, demoted);
  }

  PlaceFinder finder_{10};
};

TEST_F(PlaceFinderTest, CountsTheItemsBefore) {
  const Places& places = Find({{4, 7}, {3, 1}, {2, 0}, {1, 9}}, {1, 9});
  EXPECT_THAT(places.by_row, ElementsAre(1, 3));
  EXPECT_THAT(places.after, ElementsAre(1, 3));
  EXPECT_THAT(places.midranks, ElementsAre(1, 3));
}

TEST_F(PlaceFinderTest, GivesATieThreePlaces) {
  const Places& places = Find({{9, 4}, {5, 1}, {5, 2}, {5, 3}, {1, 0}}, {2});
  EXPECT_THAT(places.by_row, ElementsAre(2));
  EXPECT_THAT(places.after, ElementsAre(3));
  EXPECT_THAT(places.midranks, ElementsAre(2));
}

TEST_F(PlaceFinderTest, SharesTheMiddleAmongHeldOutItemsThatTie) {
  const Places& places = Find({{5, 1}, {5, 2}, {5, 3}, {5, 4}}, {1, 2});
  EXPECT_THAT(places.by_row, ElementsAre(0, 1));
  EXPECT_THAT(places.after, ElementsAre(3, 3));
  EXPECT_THAT(places.midranks, ElementsAre(1.5, 1.5));
}

TEST_F(PlaceFinderTest, PutsDemotedItemsBelowAllOthers) {
  const Places& places = Find({{5, 1}, {4, 2}, {3, 3}, {2, 4}}, {2, 4}, {1, 3});
  EXPECT_THAT(places.by_row, ElementsAre(0, 1));
}

TEST_F(PlaceFinderTest, NeverTiesADemotedItemWithAnother) {
  const Places& places = Find({{5, 1}, {5, 2}, {5, 3}, {5, 4}}, {3}, {1, 4});
  EXPECT_THAT(places.by_row, ElementsAre(1));
  EXPECT_THAT(places.after, ElementsAre(1));
  EXPECT_THAT(places.midranks, ElementsAre(.5));
}

TEST_F(PlaceFinderTest, RanksDemotedItemsAmongThemselves) {
  const Places& places = Find({{5, 1}, {4, 2}, {3, 3}}, {1}, {1, 2});
  EXPECT_THAT(places.by_row, ElementsAre(1));
}

TEST_F(PlaceFinderTest, LeavesOutWhatTheListLacksAndForgetsIt) {
  EXPECT_THAT(Find({{5, 1}}, {2}, {3}).by_row, IsEmpty());
  EXPECT_THAT(Find({}, {2}).by_row, IsEmpty());
  const Places& places = Find({{5, 3}, {4, 2}, {3, 1}}, {1});
  EXPECT_THAT(places.by_row, ElementsAre(2));
}

}  // namespace
}  // namespace neumf
