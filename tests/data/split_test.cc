#include "data/split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

MATCHER_P2(UserItem, user, item, "") {
  return arg.user == uint32_t(user) && arg.item == uint32_t(item);
}

class SplitTest : public testing::Test {
 protected:
  SplitTest() { log_.has_times = true; }

  void Add(uint32_t user, uint32_t item, int64_t time) {
    Event event;
    event.user = user;
    event.item = item;
    event.time = time;
    log_.events.push_back(event);
    if (log_.num_users() <= user) log_.user_ids.resize(user + 1);
    if (log_.num_items() <= item) log_.item_ids.resize(item + 1);
  }

  Split Make(SplitKind kind, HeldOut held_out = HeldOut::kTest) const {
    return *MakeSplit(log_, kind, held_out);
  }

  EventLog log_;
};

TEST_F(SplitTest, D2lRefusesEventsWithoutTimes) {
  Add(0, 0, 0);
  Add(0, 1, 0);
  log_.has_times = false;
  EXPECT_THAT(MakeSplit(log_, SplitKind::kD2l, HeldOut::kTest),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("name the column of times")));
  EXPECT_EQ(Make(SplitKind::kNone).train.size(), 2);
}

TEST_F(SplitTest, NoneTrainsOnEverythingByUserAndTime) {
  Add(1, 0, 30);
  Add(0, 1, 20);
  Add(1, 2, 10);
  Add(0, 3, 20);
  const Split split = Make(SplitKind::kNone);
  EXPECT_THAT(split.train, ElementsAre(UserItem(0, 1), UserItem(0, 3),
                                       UserItem(1, 2), UserItem(1, 0)));
  EXPECT_THAT(split.held_out, IsEmpty());
}

TEST_F(SplitTest, D2lHoldsOutTheLastEventInTimeNotInTheFile) {
  Add(0, 0, 10);
  Add(0, 1, 30);
  Add(0, 2, 20);
  const Split split = Make(SplitKind::kD2l);
  EXPECT_THAT(split.held_out, ElementsAre(UserItem(0, 1)));
  EXPECT_THAT(split.train, ElementsAre(UserItem(0, 0), UserItem(0, 2)));
}

TEST_F(SplitTest, D2lTakesTheFirstLineOfATie) {
  Add(0, 0, 10);
  Add(0, 5, 30);
  Add(0, 4, 30);
  Add(0, 6, 30);
  const Split split = Make(SplitKind::kD2l);
  EXPECT_THAT(split.held_out, ElementsAre(UserItem(0, 5)));
  EXPECT_THAT(split.train,
              ElementsAre(UserItem(0, 0), UserItem(0, 4), UserItem(0, 6)));
}

TEST_F(SplitTest, ValidationAppliesTheRuleAgainAndDropsTheTestEvent) {
  Add(0, 0, 10);
  Add(0, 5, 30);
  Add(0, 4, 30);
  const Split split = Make(SplitKind::kD2l, HeldOut::kValidation);
  EXPECT_THAT(split.held_out, ElementsAre(UserItem(0, 4)));
  EXPECT_THAT(split.train, ElementsAre(UserItem(0, 0)));
}

TEST_F(SplitTest, EveryUserKeepsATrainEvent) {
  Add(0, 0, 10);
  Add(1, 1, 10);
  Add(1, 2, 20);
  const Split test = Make(SplitKind::kD2l);
  EXPECT_THAT(test.train, ElementsAre(UserItem(0, 0), UserItem(1, 1)));
  EXPECT_THAT(test.held_out, ElementsAre(UserItem(1, 2)));
  const Split validation = Make(SplitKind::kD2l, HeldOut::kValidation);
  EXPECT_THAT(validation.train, ElementsAre(UserItem(0, 0), UserItem(1, 1)));
  EXPECT_THAT(validation.held_out, IsEmpty());
}

TEST_F(SplitTest, HeldOutEventsAreByUserRow) {
  for (uint32_t user : {2, 0, 1}) {
    Add(user, 1, 10);
    Add(user, 2, 20);
  }
  EXPECT_THAT(Make(SplitKind::kD2l).held_out,
              ElementsAre(UserItem(0, 2), UserItem(1, 2), UserItem(2, 2)));
}

TEST(ParseSplitKindTest, KnowsItsNames) {
  EXPECT_THAT(ParseSplitKind("none"), IsOkAndHolds(SplitKind::kNone));
  EXPECT_THAT(ParseSplitKind("d2l"), IsOkAndHolds(SplitKind::kD2l));
  EXPECT_THAT(ParseSplitKind("d3l"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("choose none, d2l, latest, ratio or given")));
}

}  // namespace
}  // namespace neumf
