#include "data/item_sequences.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<Event> Events() {
  return {{1, 7, 1, 10}, {1, 3, 1, 20}, {1, 5, 1, 20}, {3, 0, 1, 5}};
}

TEST(ItemSequencesTest, KeepsTheOrderOfEachUsersEvents) {
  const ItemSequences sequences(5, Events());
  EXPECT_EQ(sequences.num_users(), 5);
  EXPECT_EQ(sequences.num_events(), 4);
  EXPECT_THAT(sequences.row(0), IsEmpty());
  EXPECT_THAT(sequences.row(1), ElementsAre(7, 3, 5));
  EXPECT_THAT(sequences.row(2), IsEmpty());
  EXPECT_THAT(sequences.row(3), ElementsAre(0));
  EXPECT_THAT(sequences.row(4), IsEmpty());
  EXPECT_THAT(sequences.offsets(), ElementsAre(0, 0, 3, 3, 4, 4));
}

TEST(ItemSequencesTest, LastIsTheNewestEnd) {
  const ItemSequences sequences(4, Events());
  EXPECT_THAT(sequences.Last(1, 2), ElementsAre(3, 5));
  EXPECT_THAT(sequences.Last(1, 3), ElementsAre(7, 3, 5));
  EXPECT_THAT(sequences.Last(1, 100), ElementsAre(7, 3, 5));
  EXPECT_THAT(sequences.Last(1, 0), IsEmpty());
  EXPECT_THAT(sequences.Last(0, 2), IsEmpty());
}

TEST(ItemSequencesTest, MayBeEmpty) {
  EXPECT_EQ(ItemSequences(0, {}).num_users(), 0);
  EXPECT_THAT(ItemSequences(1, {}).row(0), IsEmpty());
}

TEST(ItemSequencesDeathTest, WantsEventsByUserRow) {
  EXPECT_DEATH(ItemSequences(5, std::vector<Event>{{2, 0, 1, 0}, {1, 0, 1, 0}}),
               "event.user >= previous_user");
  EXPECT_DEATH(ItemSequences(2, std::vector<Event>{{2, 0, 1, 0}}), "num_users");
}

}  // namespace
}  // namespace neumf
