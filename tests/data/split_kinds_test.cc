// The splits other than none and d2l, low ratings and the hash.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "data/split.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

MATCHER_P2(UserItem, user, item, "") {
  return arg.user == uint32_t(user) && arg.item == uint32_t(item);
}

using Pair = std::pair<uint32_t, uint32_t>;

class SplitKindsTest : public testing::Test {
 protected:
  SplitKindsTest() { log_.has_times = true; }

  void Add(uint32_t user, uint32_t item, int64_t time, float rating = 1) {
    log_.events.push_back(Known({user, item, rating, time}));
  }
  void AddTest(uint32_t user, uint32_t item, int64_t time, float rating = 1) {
    log_.has_given_test = true;
    log_.given_test.push_back(Known({user, item, rating, time}));
  }
  void AddTestAmong(uint32_t user, uint32_t item,
                    std::vector<uint32_t> negatives) {
    AddTest(user, item, 0);
    log_.given_negatives.push_back(std::move(negatives));
  }
  // `count` events of `user`, item k at time k.
  void AddMany(uint32_t user, uint32_t count) {
    for (uint32_t k = 0; k < count; ++k) Add(user, k, k);
  }

  Split Make() const { return *MakeSplit(log_, options_); }
  Split Make(SplitKind kind, HeldOut held_out = HeldOut::kTest) {
    options_.kind = kind;
    options_.held_out = held_out;
    return Make();
  }

  static std::set<Pair> Pairs(const std::vector<Event>& events) {
    std::set<Pair> pairs;
    for (const Event& event : events) pairs.emplace(event.user, event.item);
    return pairs;
  }

  EventLog log_;
  SplitOptions options_;

 private:
  Event Known(const Event& event) {
    for (auto user = log_.user_ids.size(); user <= event.user; ++user) {
      log_.user_ids.push_back(absl::StrCat("u", user));
    }
    if (log_.num_items() <= event.item) log_.item_ids.resize(event.item + 1);
    return event;
  }
};

TEST_F(SplitKindsTest, LatestTakesTheLastLineOfATie) {
  Add(0, 5, 30);
  Add(0, 0, 10);
  Add(0, 4, 30);
  Add(1, 4, 30);
  const Split split = Make(SplitKind::kLatest);
  EXPECT_THAT(split.held_out, ElementsAre(UserItem(0, 4)));
  EXPECT_THAT(split.train,
              ElementsAre(UserItem(0, 0), UserItem(0, 5), UserItem(1, 4)));
  const Split validation = Make(SplitKind::kLatest, HeldOut::kValidation);
  EXPECT_THAT(validation.held_out, ElementsAre(UserItem(0, 5)));
  EXPECT_THAT(validation.train, ElementsAre(UserItem(0, 0), UserItem(1, 4)));
}

TEST_F(SplitKindsTest, LatestRefusesEventsWithoutTimes) {
  Add(0, 0, 0);
  log_.has_times = false;
  options_.kind = SplitKind::kLatest;
  EXPECT_THAT(MakeSplit(log_, options_),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("the split latest")));
}

TEST_F(SplitKindsTest, RatioHoldsOutAShareOfEachUser) {
  AddMany(0, 20);
  AddMany(1, 4);  // a tenth of it is nothing
  AddMany(2, 5);  // half an event is one
  const Split split = Make(SplitKind::kRatio);
  std::vector<uint32_t> users;
  for (const Event& event : split.held_out) users.push_back(event.user);
  EXPECT_THAT(users, ElementsAre(0, 0, 2));
  EXPECT_THAT(split.train, SizeIs(26));
}

TEST_F(SplitKindsTest, RatioLeavesAnEventToTrainOn) {
  AddMany(0, 3);
  AddMany(1, 1);
  options_.ratio = 0.99;
  const Split split = Make(SplitKind::kRatio);
  EXPECT_THAT(split.held_out, SizeIs(2));
  EXPECT_THAT(split.train, SizeIs(2));
}

TEST_F(SplitKindsTest, RatioKeepsBothPartsInTimeOrder) {
  for (uint32_t k = 0; k < 200; ++k) Add(0, k, 200 - k);
  options_.ratio = 0.5;
  const Split split = Make(SplitKind::kRatio);
  for (const std::vector<Event>* events : {&split.train, &split.held_out}) {
    EXPECT_THAT(*events, SizeIs(100));
    EXPECT_TRUE(std::is_sorted(
        events->begin(), events->end(),
        [](const Event& a, const Event& b) { return a.time < b.time; }));
  }
}

// With a thousand users, each of the ten events is drawn about as often.
TEST_F(SplitKindsTest, RatioDrawsEvenly) {
  for (uint32_t user = 0; user < 1000; ++user) AddMany(user, 10);
  std::vector<int> counts(10);
  for (const Event& event : Make(SplitKind::kRatio).held_out) {
    ++counts[event.item];
  }
  for (int count : counts) {
    EXPECT_GT(count, 60);
    EXPECT_LT(count, 140);
  }
}

TEST_F(SplitKindsTest, RatioDrawsAnotherValidationPartOutsideTheTestPart) {
  for (uint32_t user = 0; user < 50; ++user) AddMany(user, 30);
  const Split test = Make(SplitKind::kRatio);
  const Split validation = Make(SplitKind::kRatio, HeldOut::kValidation);
  EXPECT_THAT(test.held_out, SizeIs(50 * 3));
  EXPECT_THAT(validation.held_out, SizeIs(50 * 3));  // a tenth of 27
  std::set<Pair> all = Pairs(test.held_out);
  all.merge(Pairs(validation.held_out));
  all.merge(Pairs(validation.train));
  EXPECT_THAT(all, SizeIs(50 * 30));
}

TEST_F(SplitKindsTest, TheSeedDecidesAndAnotherUserDoesNot) {
  AddMany(0, 40);
  const std::set<Pair> before = Pairs(Make(SplitKind::kRatio).held_out);
  AddMany(1, 40);
  std::set<Pair> after = Pairs(Make(SplitKind::kRatio).held_out);
  after.erase(after.lower_bound({1, 0}), after.end());
  EXPECT_EQ(before, after);
  options_.seed = 1;
  EXPECT_NE(Pairs(Make(SplitKind::kRatio).held_out), before);
}

TEST_F(SplitKindsTest, RatioMustLieBetweenNothingAndAll) {
  AddMany(0, 3);
  options_.kind = SplitKind::kRatio;
  for (double ratio :
       {0.0, 1.0, -0.1, 1.5, std::numeric_limits<double>::quiet_NaN()}) {
    options_.ratio = ratio;
    EXPECT_THAT(MakeSplit(log_, options_),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("between 0 and 1")));
  }
}

TEST_F(SplitKindsTest, GivenHoldsOutTheDataSetsOwn) {
  AddTest(1, 3, 5);
  AddTest(0, 2, 7);
  AddTest(1, 0, 1);
  Add(1, 1, 30);
  Add(0, 1, 20);
  Add(1, 2, 10);
  const Split split = Make(SplitKind::kGiven);
  EXPECT_THAT(split.train,
              ElementsAre(UserItem(0, 1), UserItem(1, 2), UserItem(1, 1)));
  EXPECT_THAT(split.held_out,
              ElementsAre(UserItem(0, 2), UserItem(1, 3), UserItem(1, 0)));
  EXPECT_THAT(split.negatives, IsEmpty());
}

TEST_F(SplitKindsTest, GivenTakesUsersThatAreInTheTestPartAlone) {
  Add(0, 1, 1);
  AddTest(1, 2, 2);
  log_.has_times = false;
  const Split split = Make(SplitKind::kGiven);
  EXPECT_THAT(split.train, ElementsAre(UserItem(0, 1)));
  EXPECT_THAT(split.held_out, ElementsAre(UserItem(1, 2)));
}

TEST_F(SplitKindsTest, GivenNegativesGoWithTheirEvent) {
  Add(0, 5, 1);
  Add(1, 5, 1);
  AddTestAmong(1, 3, {9, 3, 9});
  AddTestAmong(0, 2, {8, 7});
  const Split split = Make(SplitKind::kGiven);
  EXPECT_THAT(split.held_out, ElementsAre(UserItem(0, 2), UserItem(1, 3)));
  EXPECT_THAT(split.negatives,
              ElementsAre(ElementsAre(8, 7), ElementsAre(9, 3, 9)));
}

TEST_F(SplitKindsTest, GivenIsRefusedWhereTheDataHasNoTestPart) {
  Add(0, 0, 0);
  options_.kind = SplitKind::kGiven;
  EXPECT_THAT(
      MakeSplit(log_, options_),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no test part")));
}

TEST_F(SplitKindsTest, GivenValidationIsATenthOfTrain) {
  for (uint32_t user = 0; user < 3; ++user) AddMany(user, 20);
  AddTest(0, 21, 0);
  const Split split = Make(SplitKind::kGiven, HeldOut::kValidation);
  EXPECT_THAT(split.held_out, SizeIs(6));
  EXPECT_THAT(split.train, SizeIs(54));
  EXPECT_FALSE(Pairs(split.held_out).count({0, 21}));
  EXPECT_THAT(split.negatives, IsEmpty());
}

class ListedNegativesTest : public SplitKindsTest {
 protected:
  ListedNegativesTest() {
    for (uint32_t user : {0, 1}) {
      AddMany(user, 20);
      AddTestAmong(user, 30 + user, {5, 6, 7});
    }
    log_.item_ids.resize(200);
    Add(2, 3, 1);  // has no event to spare
  }
};

TEST_F(ListedNegativesTest, ValidationIsTheLastEventAmong99UnmetItems) {
  const Split split = Make(SplitKind::kGiven, HeldOut::kValidation);
  EXPECT_THAT(split.held_out, ElementsAre(UserItem(0, 19), UserItem(1, 19)));
  EXPECT_THAT(split.train, SizeIs(19 + 19 + 1));
  ASSERT_THAT(split.negatives, SizeIs(2));
  for (const std::vector<uint32_t>& items : split.negatives) {
    EXPECT_THAT(std::set<uint32_t>(items.begin(), items.end()), SizeIs(99));
    EXPECT_THAT(items, SizeIs(99));
    for (uint32_t item : items) {
      EXPECT_GE(item, 20);
      EXPECT_LT(item, 200);
    }
  }
  EXPECT_NE(split.negatives[0], split.negatives[1]);
}

TEST_F(ListedNegativesTest, ValidationDoesNotLookAtTheTestPart) {
  const Split before = Make(SplitKind::kGiven, HeldOut::kValidation);
  log_.given_test[0].item = 100;
  log_.given_negatives[0] = {1, 2};
  const Split after = Make(SplitKind::kGiven, HeldOut::kValidation);
  EXPECT_EQ(before.hash, after.hash);
  EXPECT_EQ(before.negatives, after.negatives);
}

TEST_F(ListedNegativesTest, TheSeedDrawsTheNegatives) {
  const Split first = Make(SplitKind::kGiven, HeldOut::kValidation);
  options_.seed = 7;
  const Split second = Make(SplitKind::kGiven, HeldOut::kValidation);
  EXPECT_NE(first.negatives, second.negatives);
  EXPECT_NE(first.hash, second.hash);
}

TEST_F(ListedNegativesTest, ASmallCatalogGivesAllUnmetItems) {
  log_.item_ids.resize(32);
  const Split split = Make(SplitKind::kGiven, HeldOut::kValidation);
  EXPECT_THAT(split.negatives[0],
              testing::UnorderedElementsAre(20, 21, 22, 23, 24, 25, 26, 27, 28,
                                            29, 30, 31));
}

TEST_F(SplitKindsTest, OtherSplitsTakeTheTestPartForEvents) {
  Add(0, 1, 10);
  AddTest(0, 2, 20);
  AddTest(1, 2, 20);
  EXPECT_THAT(Make(SplitKind::kNone).train,
              ElementsAre(UserItem(0, 1), UserItem(0, 2), UserItem(1, 2)));
  const Split latest = Make(SplitKind::kLatest);
  EXPECT_THAT(latest.held_out, ElementsAre(UserItem(0, 2)));
  EXPECT_THAT(latest.train, ElementsAre(UserItem(0, 1), UserItem(1, 2)));
  EXPECT_THAT(latest.negatives, IsEmpty());
}

TEST_F(SplitKindsTest, LowRatingsAreSetApart) {
  Add(0, 0, 30, 5);
  Add(0, 1, 20, 3);
  Add(0, 2, 10, 4);
  Add(1, 0, 10, 3.5);
  AddTest(0, 3, 40, 4);
  AddTest(0, 4, 40, 3);
  options_.min_rating = 4;
  const Split split = Make(SplitKind::kGiven);
  EXPECT_THAT(split.train, ElementsAre(UserItem(0, 2), UserItem(0, 0)));
  EXPECT_THAT(split.low_rated, ElementsAre(UserItem(0, 1), UserItem(1, 0)));
  EXPECT_THAT(split.held_out, ElementsAre(UserItem(0, 3)));
}

TEST_F(SplitKindsTest, LowRatedTestEventsTakeTheirNegativesWithThem) {
  Add(0, 0, 30, 5);
  AddTestAmong(0, 3, {7});
  AddTestAmong(0, 4, {8});
  log_.given_test[1].rating = 5;
  options_.min_rating = 4;
  const Split split = Make(SplitKind::kGiven);
  EXPECT_THAT(split.held_out, ElementsAre(UserItem(0, 4)));
  EXPECT_THAT(split.negatives, ElementsAre(ElementsAre(8)));
}

TEST_F(SplitKindsTest, ValidationComesFromThePositives) {
  for (uint32_t k = 0; k < 40; ++k) Add(0, k, k, k % 2 == 0 ? 5 : 1);
  AddTest(0, 40, 0, 5);
  options_.min_rating = 4;
  const Split split = Make(SplitKind::kGiven, HeldOut::kValidation);
  EXPECT_THAT(split.held_out, SizeIs(2));
  EXPECT_THAT(split.train, SizeIs(18));
  EXPECT_THAT(split.low_rated, SizeIs(20));
  for (const Event& event : split.held_out) EXPECT_EQ(event.rating, 5);
}

// What comes behind the held-out event is not known when it is asked for.
TEST_F(SplitKindsTest, LowRatingsBehindTheHeldOutEventAreInNoPart) {
  Add(0, 0, 10, 5);
  Add(0, 1, 20, 5);
  Add(0, 2, 20, 1);
  Add(0, 3, 30, 5);
  Add(0, 4, 30, 1);
  Add(0, 5, 40, 1);
  Add(1, 0, 10, 5);
  Add(1, 1, 50, 1);
  options_.min_rating = 4;
  EXPECT_THAT(Make(SplitKind::kLatest).low_rated,
              ElementsAre(UserItem(0, 2), UserItem(0, 4), UserItem(1, 1)));
  EXPECT_THAT(Make(SplitKind::kLatest, HeldOut::kValidation).low_rated,
              ElementsAre(UserItem(0, 2), UserItem(1, 1)));
  EXPECT_THAT(Make(SplitKind::kNone).low_rated, SizeIs(4));
}

TEST_F(SplitKindsTest, AMinimumThatLeavesNothingIsRefused) {
  Add(0, 0, 10, 5);
  options_.min_rating = 6;
  EXPECT_THAT(MakeSplit(log_, options_),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("a rating of 6 or more")));
}

TEST_F(SplitKindsTest, TheHashTellsSplitsApart) {
  AddMany(0, 20);
  AddTest(0, 30, 0);
  std::set<uint64_t> hashes;
  for (SplitKind kind : {SplitKind::kNone, SplitKind::kD2l, SplitKind::kRatio,
                         SplitKind::kGiven}) {
    const uint64_t hash = Make(kind).hash;
    EXPECT_EQ(hash, Make(kind).hash);
    hashes.insert(hash);
    hashes.insert(Make(kind, HeldOut::kValidation).hash);
  }
  EXPECT_THAT(hashes, SizeIs(7));  // kNone has but one
}

// Computed with Python: hashlib.sha256(struct.pack("<5Q", 1, 1 << 32 | 2, 0, 0,
// 0)), one train event, nothing held out, nothing low, no negatives.
TEST_F(SplitKindsTest, TheHashIsTheSameOnAnyMachine) {
  Add(1, 2, 0);
  EXPECT_EQ(Make(SplitKind::kNone).hash, 0x9b778424c2b008dd);
}

}  // namespace
}  // namespace neumf
