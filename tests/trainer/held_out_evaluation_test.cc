// Models whose scores are given: an item scores the same for every user.

#include "trainer/held_out_evaluation.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/trainer/fixed_model.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Item "i0" is row 0 of the data, "i1" row 1, and so are users.
std::string ItemId(uint32_t row) { return absl::StrCat("i", row); }
std::string UserId(uint32_t row) { return absl::StrCat("u", row); }

class HeldOutEvaluationTest : public testing::Test {
 protected:
  void Data(uint32_t num_users, uint32_t num_items) {
    for (uint32_t u = 0; u < num_users; ++u) log_.user_ids.push_back(UserId(u));
    for (uint32_t i = 0; i < num_items; ++i) log_.item_ids.push_back(ItemId(i));
  }

  // In the model's own order of rows.
  void Model(const std::vector<std::pair<std::string, float>>& items,
             const std::vector<std::string>& users) {
    FixedModel fixed = MakeFixedModel(items, users);
    model_ = std::move(fixed.model);
    items_ = std::move(fixed.items);
  }

  void Train(uint32_t user, uint32_t item) { Add(user, item, &split_.train); }
  void HoldOut(uint32_t user, uint32_t item) {
    Add(user, item, &split_.held_out);
  }
  void RateLow(uint32_t user, uint32_t item) {
    Add(user, item, &split_.low_rated);
  }

  absl::StatusOr<HeldOutEvaluation> Evaluate() {
    return EvaluateHeldOut(model_, items_, log_, split_, options_);
  }
  void Expect(absl::string_view metric, const std::vector<double>& per_user) {
    NEUMF_ASSERT_OK_AND_ASSIGN(const HeldOutEvaluation held_out, Evaluate());
    const Metric* const found = held_out.evaluation.Find(metric);
    ASSERT_NE(found, nullptr) << metric;
    EXPECT_EQ(found->per_user, per_user);
  }
  void ExpectRefused(const std::string& reason) {
    EXPECT_THAT(Evaluate(), StatusIs(absl::StatusCode::kInvalidArgument,
                                     HasSubstr(reason)));
  }

  EventLog log_;
  Split split_;
  ServingModel model_;
  ItemTables items_;
  HeldOutOptions options_;

 private:
  static void Add(uint32_t user, uint32_t item, std::vector<Event>* events) {
    Event event;
    event.user = user;
    event.item = item;
    events->push_back(event);
  }
};

TEST_F(HeldOutEvaluationTest, MatchesUsersAndItemsById) {
  Data(3, 4);
  Model({{"i3", 1}, {"i2", 2}, {"i0", 4}, {"i1", 3}}, {"u2", "u0", "u1"});
  Train(0, 0);
  HoldOut(0, 1);  // best of the three that are left
  Train(1, 3);
  HoldOut(1, 2);  // last of three
  HoldOut(2, 3);  // last of four
  Expect("auc", {1, 0, 0});
  NEUMF_ASSERT_OK_AND_ASSIGN(const HeldOutEvaluation held_out, Evaluate());
  EXPECT_THAT(held_out.users, ElementsAre(0, 1, 2));
}

TEST_F(HeldOutEvaluationTest, GoesByTheSplitWhateverTheModelSaysWasSeen) {
  Data(1, 4);
  Model({{"i0", 4}, {"i1", 3}, {"i2", 2}, {"i3", 1}}, {"u0"});
  model_.seen = *SeenSets::FromRows({0, 4}, {0, 1, 2, 3}, 4);
  Train(0, 0);
  HoldOut(0, 2);
  Expect("auc", {.5});
}

TEST_F(HeldOutEvaluationTest, TakesTheItemsOfTheDataForTheCatalog) {
  Data(1, 3);
  Model({{"new", 9}, {"i0", 4}, {"other", 8}, {"i1", 3}, {"i2", 2}},
        {"u0", "somebody"});
  HoldOut(0, 0);
  Expect("auc", {1});
}

TEST_F(HeldOutEvaluationTest, LeavesOutUsersOfWhomNothingIsHeldOut) {
  Data(3, 4);
  Model({{"i0", 4}, {"i1", 3}, {"i2", 2}, {"i3", 1}}, {"u0", "u1", "u2"});
  Train(0, 1);
  HoldOut(1, 0);
  NEUMF_ASSERT_OK_AND_ASSIGN(const HeldOutEvaluation held_out, Evaluate());
  EXPECT_THAT(held_out.users, ElementsAre(1));
  EXPECT_EQ(held_out.evaluation.num_users, 1);
}

TEST_F(HeldOutEvaluationTest, RanksAmongTheNegativesOfTheUser) {
  Data(2, 4);
  Model({{"i3", 1}, {"i2", 2}, {"i1", 3}, {"i0", 4}}, {"u1", "u0"});
  options_.protocol = Protocol::kNcf;
  HoldOut(0, 2);
  HoldOut(1, 2);
  split_.negatives = {{3, 2, 3}, {0, 1}};
  Expect("ndcg@10", {1, .5});
}

TEST_F(HeldOutEvaluationTest, RanksSeveralItemsOfAUserTogether) {
  Data(1, 6);
  Model({{"i5", 0}, {"i4", 1}, {"i3", 2}, {"i2", 3}, {"i1", 4}, {"i0", 5}},
        {"u0"});
  options_.protocol = Protocol::kFull;
  Train(0, 0);
  HoldOut(0, 4);
  HoldOut(0, 1);
  Expect("map@1000", {(1 + 2.0 / 4) / 2});
  options_.whole_lists = true;
  Expect("map", {(1 + 2.0 / 4) / 2});
}

TEST_F(HeldOutEvaluationTest, DropsWhatWasRatedLowWhenAsked) {
  Data(1, 4);
  Model({{"i0", 4}, {"i1", 3}, {"i2", 2}, {"i3", 1}}, {"u0"});
  options_.protocol = Protocol::kTriplet;
  RateLow(0, 1);
  HoldOut(0, 2);
  Expect("mrr", {1.0 / 3});
  options_.drop_rated = true;
  Expect("mrr", {1.0 / 2});
  Expect("auc", {2.0 / 3});  // below it stand the dropped one and the last
}

TEST_F(HeldOutEvaluationTest, RefusesWhatTheSplitCannotGive) {
  Data(1, 2);
  Model({{"i0", 4}, {"i1", 3}}, {"u0"});
  ExpectRefused("nothing is held out");
  HoldOut(0, 0);
  options_.protocol = Protocol::kNcf;
  ExpectRefused("take the protocol full");
  options_.protocol = Protocol::kFull;
  options_.drop_rated = true;
  ExpectRefused("the protocol triplet only");
  options_.protocol = Protocol::kTriplet;
  options_.whole_lists = true;
  ExpectRefused("the protocol full alone");
}

TEST_F(HeldOutEvaluationTest, NcfHoldsOutOneItemOfAUser) {
  Data(3, 4);
  HoldOut(2, 0);
  HoldOut(1, 0);
  split_.negatives = {{2}, {2}};
  options_.protocol = Protocol::kNcf;
  NEUMF_EXPECT_OK(CheckHeldOut(log_, split_, options_));
  HoldOut(2, 1);
  split_.negatives.push_back({3});
  EXPECT_THAT(CheckHeldOut(log_, split_, options_),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("user u2 has several")));
  options_.protocol = Protocol::kFull;
  NEUMF_EXPECT_OK(CheckHeldOut(log_, split_, options_));
}

TEST_F(HeldOutEvaluationTest, CountsWhatTheModelLacks) {
  Data(2, 3);
  Model({{"i0", 4}}, {"u0", "u1"});
  HoldOut(0, 0);
  ExpectRefused("lacks 2 of the 3 items");
  Data(1, 0);
  log_.user_ids.back() = "somebody";
  ExpectRefused("lacks 1 of the 3 users");
}

TEST_F(HeldOutEvaluationTest, FailsWhenTiesDecide) {
  Data(1, 3);
  Model({{"i0", 1}, {"i1", 1}, {"i2", 1}}, {"u0"});
  HoldOut(0, 0);
  EXPECT_THAT(Evaluate(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                   HasSubstr("too many scores tie")));
}

TEST_F(HeldOutEvaluationTest, SaysItInJsonAndCsv) {
  Data(2, 3);
  log_.user_ids[1] = "u,\"1\"";
  Model({{"i0", 3}, {"i1", 2}, {"i2", 1}}, {"u0", "u,\"1\""});
  HoldOut(0, 0);
  HoldOut(1, 1);
  NEUMF_ASSERT_OK_AND_ASSIGN(const HeldOutEvaluation held_out, Evaluate());
  EXPECT_EQ(PerUserCsv(held_out, log_),
            "user_id,hit@50,auc\nu0,1,1\n\"u,\"\"1\"\"\",1,0.5\n");
  const nlohmann::json json = MetricsJson(held_out);
  EXPECT_EQ(json["protocol"], "d2l");
  EXPECT_EQ(json["evaluated_users"], 2);
  EXPECT_EQ(json["auc"], .75);
  EXPECT_EQ(json["auc_midrank"], .75);
  EXPECT_EQ(json["auc_standard_error"], .25);
  EXPECT_FALSE(json.contains("drop_rated"));
}

}  // namespace
}  // namespace neumf
