#include "data/interactions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Interactions Make(
    uint64_t num_users, uint64_t num_items,
    const std::vector<std::pair<uint32_t, uint32_t>>& user_items) {
  std::vector<Event> events;
  for (const auto& [user, item] : user_items) {
    Event event;
    event.user = user;
    event.item = item;
    events.push_back(event);
  }
  return Interactions(num_users, num_items, events);
}

TEST(InteractionsTest, RowsAscendWithoutRepeats) {
  const Interactions x =
      Make(3, 10, {{2, 7}, {0, 5}, {0, 9}, {0, 5}, {2, 7}, {0, 1}, {2, 3}});
  EXPECT_THAT(x.row(0), ElementsAre(1, 5, 9));
  EXPECT_THAT(x.row(1), IsEmpty());
  EXPECT_THAT(x.row(2), ElementsAre(3, 7));
  EXPECT_THAT(x.offsets(), ElementsAre(0, 3, 3, 5));
  EXPECT_THAT(x.items(), ElementsAre(1, 5, 9, 3, 7));
  EXPECT_EQ(x.num_users(), 3);
  EXPECT_EQ(x.num_items(), 10);
  EXPECT_EQ(x.num_interactions(), 5);
}

TEST(InteractionsTest, TheSameItemMayEndOneRowAndBeginTheNext) {
  const Interactions x = Make(2, 6, {{0, 5}, {0, 5}, {1, 5}});
  EXPECT_THAT(x.row(0), ElementsAre(5));
  EXPECT_THAT(x.row(1), ElementsAre(5));
}

TEST(InteractionsTest, ContainsWhatARowHolds) {
  const Interactions x = Make(2, 10, {{0, 5}, {0, 2}});
  EXPECT_TRUE(x.Contains(0, 5));
  EXPECT_TRUE(x.Contains(0, 2));
  EXPECT_FALSE(x.Contains(0, 3));
  EXPECT_FALSE(x.Contains(1, 5));
}

TEST(InteractionsTest, CountsTheUsersOfEachItem) {
  const Interactions x = Make(3, 4, {{0, 1}, {1, 1}, {1, 1}, {2, 3}});
  EXPECT_THAT(x.ItemCounts(), ElementsAre(0, 2, 0, 1));
}

TEST(InteractionsTest, MayBeEmpty) {
  const Interactions x = Make(2, 3, {});
  EXPECT_THAT(x.row(1), IsEmpty());
  EXPECT_EQ(x.num_interactions(), 0);
  EXPECT_EQ(Make(0, 0, {}).num_users(), 0);
}

TEST(InteractionsDeathTest, RowsBeyondTheShapeAbort) {
  EXPECT_DEATH(Make(1, 1, {{1, 0}}), "event.user < num_users");
  EXPECT_DEATH(Make(1, 1, {{0, 1}}), "event.item < num_items");
}

}  // namespace
}  // namespace neumf
