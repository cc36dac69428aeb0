// Each protocol on catalogs small enough to rank by hand.

#include "eval/protocols.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "base/status_macros.h"
#include "tests/eval/fixed_scores_model.h"
#include "tests/support/fake_scorer.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Rows = std::vector<uint32_t>;

class ProtocolsTest : public testing::Test {
 protected:
  // Item i of the catalog scores scores[i].
  void Catalog(std::vector<float> scores) {
    model_ = std::make_unique<FixedScoresModel>(std::move(scores));
  }
  // The first item scores best, then row by row.
  void FallingCatalog(size_t num_items) {
    std::vector<float> scores(num_items);
    std::iota(scores.rbegin(), scores.rend(), 0.0F);
    Catalog(scores);
  }

  // The rows must stay alive.
  HeldOutQuery& User(const Rows& seen, const Rows& held_out) {
    HeldOutQuery query;
    query.user_gmf = model_->user_gmf();
    query.seen = seen;
    query.held_out = held_out;
    queries_.push_back(query);
    return queries_.back();
  }

  absl::Status Evaluate(Protocol protocol) {
    options_.protocol = protocol;
    NEUMF_ASSIGN_OR_RETURN(
        evaluation_, EvaluateProtocol(model_->scorer(), queries_, options_));
    return absl::OkStatus();
  }

  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const Metric& metric : evaluation_.metrics) {
      names.push_back(metric.name);
    }
    return names;
  }
  double Mean(absl::string_view name) const { return Get(name).mean; }
  double Midrank(absl::string_view name) const {
    return Get(name).midrank_mean;
  }
  const Metric& Get(absl::string_view name) const {
    static const Metric none;
    const Metric* const metric = evaluation_.Find(name);
    EXPECT_NE(metric, nullptr) << name;
    return metric == nullptr ? none : *metric;
  }

  const Rows nothing_ = {};
  std::unique_ptr<FixedScoresModel> model_;
  std::vector<HeldOutQuery> queries_;
  EvaluationOptions options_;
  Evaluation evaluation_;
};

TEST_F(ProtocolsTest, HaveNames) {
  for (const Protocol protocol :
       {Protocol::kD2l, Protocol::kNcf, Protocol::kTriplet, Protocol::kFull}) {
    NEUMF_ASSERT_OK_AND_ASSIGN(const Protocol parsed,
                               ParseProtocol(ProtocolName(protocol)));
    EXPECT_EQ(parsed, protocol);
  }
  EXPECT_THAT(ParseProtocol("loo"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("\"loo\": choose d2l, ncf, triplet or full")));
}

TEST_F(ProtocolsTest, RefuseToAverageOverNobody) {
  Catalog({1});
  EXPECT_THAT(Evaluate(Protocol::kFull),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ProtocolsTest, RefuseAHeldOutItemThatIsNoCandidate) {
  Catalog({3, 2, 1});
  const Rows first = {0};
  const Rows second = {1};
  User(nothing_, first);
  User(second, second);
  const auto refused = StatusIs(absl::StatusCode::kInvalidArgument,
                                HasSubstr("query 1: the held-out item row 1"));
  EXPECT_THAT(Evaluate(Protocol::kD2l), refused);
  queries_.back().seen = {};
  options_.excluded = second;
  EXPECT_THAT(Evaluate(Protocol::kFull), refused);
}

TEST_F(ProtocolsTest, RefuseAUserWithoutAHeldOutItem) {
  Catalog({3, 2, 1});
  User(nothing_, nothing_);
  EXPECT_THAT(
      Evaluate(Protocol::kTriplet),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("query 0")));
}

TEST_F(ProtocolsTest, SayHowFarTheMeanMayBeOff) {
  FallingCatalog(100);
  const Rows hit = {3};
  const Rows miss = {80};
  for (const Rows* item : {&hit, &hit, &miss, &hit}) User(nothing_, *item);
  NEUMF_ASSERT_OK(Evaluate(Protocol::kD2l));
  EXPECT_EQ(evaluation_.num_users, 4);
  EXPECT_THAT(Get("hit@50").per_user, ElementsAre(1, 1, 0, 1));
  EXPECT_DOUBLE_EQ(Mean("hit@50"), .75);
  // Sample deviation .5 over the root of 4.
  EXPECT_DOUBLE_EQ(Get("hit@50").standard_error, .25);
}

TEST_F(ProtocolsTest, KnowNoErrorOfASingleUser) {
  FallingCatalog(10);
  const Rows item = {3};
  User(nothing_, item);
  NEUMF_ASSERT_OK(Evaluate(Protocol::kD2l));
  EXPECT_EQ(Get("auc").standard_error, 0);
}

// d2l.

TEST_F(ProtocolsTest, D2lAveragesOverUsers) {
  Catalog({5, 4, 3, 2, 1});
  const Rows seen = {0, 2};
  const Rows best = {1};
  const Rows second = {3};
  const Rows last = {4};
  User(seen, best);
  User(seen, second);
  User(nothing_, last);
  NEUMF_ASSERT_OK(Evaluate(Protocol::kD2l));
  EXPECT_THAT(Names(), ElementsAre("hit@50", "auc"));
  EXPECT_EQ(evaluation_.num_users, 3);
  EXPECT_EQ(Mean("hit@50"), 1);
  EXPECT_THAT(Get("auc").per_user, ElementsAre(1, .5, 0));
  EXPECT_DOUBLE_EQ(Mean("auc"), .5);
  EXPECT_DOUBLE_EQ(Midrank("auc"), .5);
  NEUMF_EXPECT_OK(CheckTies(evaluation_));
}

TEST_F(ProtocolsTest, D2lHitsOnlyWithinTheFirstFifty) {
  FallingCatalog(200);
  const Rows in = {49};
  const Rows out = {50};
  User(nothing_, in);
  User(nothing_, out);
  NEUMF_ASSERT_OK(Evaluate(Protocol::kD2l));
  EXPECT_EQ(Mean("hit@50"), .5);
}

TEST_F(ProtocolsTest, D2lBreaksTiesByRowAndSaysWhatHalfWouldGive) {
  Catalog(std::vector<float>(101, 7.0F));
  const Rows first = {0};
  const Rows later = {25};
  User(nothing_, first);
  User(nothing_, later);
  NEUMF_ASSERT_OK(Evaluate(Protocol::kD2l));
  EXPECT_EQ(Mean("hit@50"), 1);
  EXPECT_DOUBLE_EQ(Mean("auc"), (1 + .75) / 2);
  EXPECT_DOUBLE_EQ(Midrank("auc"), .5);
  EXPECT_EQ(Midrank("hit@50"), 0);
  EXPECT_THAT(CheckTies(evaluation_),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("hit@50 is 1 by")));
}

TEST_F(ProtocolsTest, D2lSharesOnlyThePlacesOfEqualScores) {
  Catalog({9, 5, 5, 5, 1});
  const Rows item = {3};
  User(nothing_, item);
  NEUMF_ASSERT_OK(Evaluate(Protocol::kD2l));
  EXPECT_DOUBLE_EQ(Mean("auc"), 1.0 / 4);
  EXPECT_DOUBLE_EQ(Midrank("auc"), 2.0 / 4);
}

TEST_F(ProtocolsTest, D2lTakesAucFromTheFirstOfSeveral) {
  FallingCatalog(61);
  const Rows items = {6, 20, 55};
  User(nothing_, items);
  NEUMF_ASSERT_OK(Evaluate(Protocol::kD2l));
  EXPECT_EQ(Mean("hit@50"), 2);
  EXPECT_DOUBLE_EQ(Mean("auc"), 54.0 / 60);
}

TEST_F(ProtocolsTest, D2lCountsMoreUsersThanFitABatch) {
  Catalog({2, 1});
  const Rows first = {0};
  const Rows second = {1};
  for (int i = 0; i < 75; ++i) {
    User(nothing_, first);
    User(nothing_, second);
  }
  NEUMF_ASSERT_OK(Evaluate(Protocol::kD2l));
  EXPECT_EQ(evaluation_.num_users, 150);
  EXPECT_DOUBLE_EQ(Mean("auc"), .5);
}

// ncf.

TEST_F(ProtocolsTest, NcfRanksAmongTheNegatives) {
  FallingCatalog(40);
  const Rows seen = {0, 1, 2};
  const Rows item = {20};
  // Two better ones; the negatives need not be in order.
  const Rows negatives = {30, 5, 12, 39};
  User(seen, item).negatives = negatives;
  NEUMF_ASSERT_OK(Evaluate(Protocol::kNcf));
  EXPECT_THAT(Names(), ElementsAre("hr@10", "ndcg@10", "hr@10_full"));
  EXPECT_EQ(Mean("hr@10"), 1);
  EXPECT_DOUBLE_EQ(Mean("ndcg@10"), .5);  // 1 / log2(4)
  EXPECT_EQ(Mean("hr@10_full"), 0);       // place 17 of the catalog
}

TEST_F(ProtocolsTest, NcfCountsEachItemOnce) {
  FallingCatalog(20);
  const Rows item = {10};
  Rows negatives(9);  // nine better ones
  std::iota(negatives.begin(), negatives.end(), 0);
  negatives.push_back(10);  // the item itself
  negatives.push_back(0);
  negatives.push_back(0);
  User(nothing_, item).negatives = negatives;
  NEUMF_ASSERT_OK(Evaluate(Protocol::kNcf));
  EXPECT_EQ(Mean("hr@10"), 1);
  EXPECT_DOUBLE_EQ(Mean("ndcg@10"), 1 / std::log2(11));
}

TEST_F(ProtocolsTest, NcfLosesEveryTie) {
  Catalog(std::vector<float>(30, 1.0F));
  const Rows item = {0};
  const Rows nine = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  Rows twelve(12);
  std::iota(twelve.begin(), twelve.end(), 1);
  User(nothing_, item).negatives = nine;
  User(nothing_, item).negatives = twelve;
  NEUMF_ASSERT_OK(Evaluate(Protocol::kNcf));
  EXPECT_THAT(Get("hr@10").per_user, ElementsAre(1, 0));
  EXPECT_DOUBLE_EQ(Get("ndcg@10").per_user[0], 1 / std::log2(11));
  EXPECT_EQ(Midrank("hr@10"), 1);       // places 4.5 and 6
  EXPECT_EQ(Mean("hr@10_full"), 1);     // by row
  EXPECT_EQ(Midrank("hr@10_full"), 0);  // place 14.5 of 30
}

TEST_F(ProtocolsTest, NcfMayListWhatWasSeen) {
  FallingCatalog(20);
  const Rows seen = {0};
  const Rows item = {10};
  const Rows negatives = {0, 15};
  User(seen, item).negatives = negatives;
  NEUMF_ASSERT_OK(Evaluate(Protocol::kNcf));
  EXPECT_DOUBLE_EQ(Mean("ndcg@10"), 1 / std::log2(3));
  EXPECT_EQ(Mean("hr@10_full"), 1);  // place 9
}

TEST_F(ProtocolsTest, NcfRefusesWhatItCannotRank) {
  FallingCatalog(5);
  const Rows one = {1};
  const Rows two = {1, 2};
  User(nothing_, one);
  EXPECT_THAT(Evaluate(Protocol::kNcf),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("query 0: the protocol ncf needs negatives")));
  queries_[0].negatives = two;
  queries_[0].held_out = two;
  EXPECT_THAT(Evaluate(Protocol::kNcf),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("one held-out item a user, not 2")));
}

// triplet.

TEST_F(ProtocolsTest, TripletMeasuresWholeLists) {
  FallingCatalog(13);
  const Rows seen = {0};
  const Rows items = {1, 4, 12};  // places 0, 3 and 11 of 12
  User(seen, items);
  NEUMF_ASSERT_OK(Evaluate(Protocol::kTriplet));
  EXPECT_THAT(Names(), ElementsAre("auc", "precision@5", "precision@10",
                                   "recall@10", "ndcg@10", "map", "mrr"));
  // Against 9 others: 9, 7 and 0 in order.
  EXPECT_DOUBLE_EQ(Mean("auc"), 16.0 / 27);
  EXPECT_DOUBLE_EQ(Mean("precision@5"), .4);
  EXPECT_DOUBLE_EQ(Mean("precision@10"), .2);
  EXPECT_DOUBLE_EQ(Mean("recall@10"), 2.0 / 3);
  EXPECT_DOUBLE_EQ(Mean("ndcg@10"),
                   (1 + 1 / std::log2(5)) / (1 + 1 / std::log2(3) + .5));
  EXPECT_DOUBLE_EQ(Mean("map"), (1 + 2.0 / 4 + 3.0 / 12) / 3);
  EXPECT_DOUBLE_EQ(Mean("mrr"), 1);
}

TEST_F(ProtocolsTest, TripletCountsTiesHalfInAucAndByRowElsewhere) {
  Catalog({3, 3, 3, 3, 0});
  const Rows items = {1};
  User(nothing_, items);
  NEUMF_ASSERT_OK(Evaluate(Protocol::kTriplet));
  EXPECT_DOUBLE_EQ(Mean("auc"), 2.5 / 4);
  EXPECT_DOUBLE_EQ(Midrank("auc"), 2.5 / 4);
  EXPECT_DOUBLE_EQ(Mean("mrr"), 1.0 / 2);
  EXPECT_DOUBLE_EQ(Midrank("mrr"), 1.0 / 2.5);
}

TEST_F(ProtocolsTest, TripletPutsDemotedItemsBelowAllOthers) {
  FallingCatalog(6);
  const Rows items = {2};
  const Rows rated = {0, 5};
  User(nothing_, items).demoted = rated;
  NEUMF_ASSERT_OK(Evaluate(Protocol::kTriplet));
  // They stay in the list: four of five others stand below, not two of three.
  EXPECT_DOUBLE_EQ(Mean("auc"), 4.0 / 5);
  EXPECT_DOUBLE_EQ(Mean("mrr"), 1.0 / 2);
}

// full.

TEST_F(ProtocolsTest, FullMeasuresTheTopOfTheCatalog) {
  FallingCatalog(50);
  const Rows seen = {0, 1};
  const Rows items = {2, 5, 21, 22};  // places 0, 3, 19 and 20
  User(seen, items);
  NEUMF_ASSERT_OK(Evaluate(Protocol::kFull));
  EXPECT_THAT(Names(), ElementsAre("recall@20", "ndcg@20", "precision@10",
                                   "map@1000", "mrr@1000"));
  EXPECT_DOUBLE_EQ(Mean("recall@20"), .75);
  EXPECT_DOUBLE_EQ(Mean("ndcg@20"), (1 + 1 / std::log2(5) + 1 / std::log2(21)) /
                                        (1 + 1 / std::log2(3) +
                                         1 / std::log2(4) + 1 / std::log2(5)));
  EXPECT_DOUBLE_EQ(Mean("precision@10"), .2);
  EXPECT_DOUBLE_EQ(Mean("map@1000"), (1 + 2.0 / 4 + 3.0 / 20 + 4.0 / 21) / 4);
  EXPECT_DOUBLE_EQ(Mean("mrr@1000"), 1);
}

TEST_F(ProtocolsTest, FullLooksAThousandPlacesDeepUnlessAskedForMore) {
  FallingCatalog(1500);
  const Rows near = {999};
  const Rows far = {1000};
  User(nothing_, near);
  User(nothing_, far);
  NEUMF_ASSERT_OK(Evaluate(Protocol::kFull));
  EXPECT_THAT(Get("map@1000").per_user, ElementsAre(.001, 0));
  EXPECT_THAT(Get("mrr@1000").per_user, ElementsAre(.001, 0));
  options_.whole_lists = true;
  NEUMF_ASSERT_OK(Evaluate(Protocol::kFull));
  EXPECT_THAT(Names(), ElementsAre("recall@20", "ndcg@20", "precision@10",
                                   "map", "mrr"));
  EXPECT_THAT(Get("map").per_user, ElementsAre(.001, 1.0 / 1001));
  EXPECT_THAT(Get("mrr").per_user, ElementsAre(.001, 1.0 / 1001));
}

// A group of ties that begins above the depth and ends far below it.
TEST_F(ProtocolsTest, FullFollowsTiesBeyondTheDepth) {
  std::vector<float> scores(20'000, 1.0F);
  std::fill_n(scores.begin(), 990, 2.0F);
  Catalog(scores);
  const Rows item = {995};
  User(nothing_, item);
  NEUMF_ASSERT_OK(Evaluate(Protocol::kFull));
  EXPECT_DOUBLE_EQ(Mean("mrr@1000"), 1.0 / 996);
  // Its midrank is (990 + 19,999) / 2.
  EXPECT_EQ(Midrank("mrr@1000"), 0);

  std::fill(scores.begin() + 1007, scores.end(), 0.0F);
  Catalog(scores);
  queries_.clear();
  User(nothing_, item);
  NEUMF_ASSERT_OK(Evaluate(Protocol::kFull));
  EXPECT_DOUBLE_EQ(Midrank("mrr@1000"), 1.0 / 999);  // (990 + 1006) / 2
}

TEST_F(ProtocolsTest, FullLeavesExcludedItemsOut) {
  FallingCatalog(6);
  const Rows excluded = {0, 4};
  const Rows items = {2};
  options_.excluded = excluded;
  User(nothing_, items);
  NEUMF_ASSERT_OK(Evaluate(Protocol::kFull));
  EXPECT_DOUBLE_EQ(Mean("mrr@1000"), 1.0 / 2);
  NEUMF_ASSERT_OK(Evaluate(Protocol::kD2l));
  EXPECT_DOUBLE_EQ(Mean("auc"), 2.0 / 3);
}

TEST_F(ProtocolsTest, DemoteForTripletOnly) {
  FallingCatalog(6);
  const Rows items = {2};
  const Rows rated = {0, 5};
  User(nothing_, items).demoted = rated;
  NEUMF_ASSERT_OK(Evaluate(Protocol::kFull));
  EXPECT_DOUBLE_EQ(Mean("mrr@1000"), 1.0 / 3);
}

// Scores that are not a number.

TEST_F(ProtocolsTest, TakeAScoreThatIsNotANumberForAnError) {
  std::vector<float> scores(1500, 1.0F);
  std::iota(scores.rbegin(), scores.rend(), 0.0F);
  scores[1400] = std::numeric_limits<float>::quiet_NaN();
  Catalog(scores);
  const Rows item = {1400};
  const Rows other = {3};
  const auto broken = StatusIs(absl::StatusCode::kFailedPrecondition,
                               HasSubstr("1 of the scores"));
  User(nothing_, item).negatives = other;
  for (const Protocol protocol :
       {Protocol::kD2l, Protocol::kNcf, Protocol::kTriplet, Protocol::kFull}) {
    EXPECT_THAT(Evaluate(protocol), broken) << ProtocolName(protocol);
  }
  queries_[0].held_out = other;
  queries_[0].negatives = item;
  for (const Protocol protocol :
       {Protocol::kD2l, Protocol::kNcf, Protocol::kTriplet}) {
    EXPECT_THAT(Evaluate(protocol), broken) << ProtocolName(protocol);
  }
}

// Says that it has as many items as a test wants, and returns one of them.
class HugeCatalogScorer : public Scorer {
 public:
  explicit HugeCatalogScorer(uint64_t num_items) {
    shape_.num_items = num_items;
  }

  absl::Status Rank(absl::Span<const RankQuery> queries,
                    absl::Span<Ranking> rankings) const override {
    largest_batch_ = std::max(largest_batch_, queries.size());
    for (Ranking& ranking : rankings) {
      ranking.items = {{1.0F, 0}};
      ranking.eligible_count = 1;
    }
    return absl::OkStatus();
  }
  const ModelShape& shape() const override { return shape_; }
  uint64_t resident_bytes() const override { return 0; }
  const char* name() const override { return "huge catalog (test)"; }

  size_t largest_batch() const { return largest_batch_; }

 private:
  ModelShape shape_;
  mutable size_t largest_batch_ = 0;
};

TEST(ProtocolsMemoryTest, RankFewerUsersAtOnceTheLargerTheCatalog) {
  const Rows item = {0};
  std::vector<HeldOutQuery> queries(100);
  for (HeldOutQuery& query : queries) query.held_out = item;
  for (const auto& [num_items, users_at_once] :
       {std::pair{1'000, 64}, {1 << 20, 8}, {100 << 20, 1}}) {
    const HugeCatalogScorer scorer(num_items);
    NEUMF_ASSERT_OK_AND_ASSIGN(const Evaluation evaluation,
                               EvaluateProtocol(scorer, queries, {}));
    EXPECT_EQ(evaluation.num_users, 100);
    EXPECT_EQ(scorer.largest_batch(), users_at_once) << num_items;
  }
}

TEST(ProtocolsErrorTest, PassTheScorersOwnOn) {
  ModelShape shape;
  shape.num_items = 5;
  FakeScorer broken(shape, 1);
  broken.FailWith(absl::UnavailableError("the device is gone"));
  const Rows item = {0};
  const float stamp = 1;
  HeldOutQuery query;
  query.user_gmf = &stamp;
  query.held_out = item;
  EXPECT_THAT(EvaluateProtocol(broken, {query}, {}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("device")));
}

}  // namespace
}  // namespace neumf
