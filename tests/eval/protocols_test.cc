#include "eval/protocols.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "tests/eval/fixed_scores_model.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::HasSubstr;

class LeaveOneOutTest : public testing::Test {
 protected:
  // Item i of the catalog scores scores[i].
  void Catalog(std::vector<float> scores) {
    model_ = std::make_unique<FixedScoresModel>(std::move(scores));
  }

  // `seen` must stay alive.
  void User(absl::Span<const uint32_t> seen, uint32_t held_out) {
    HeldOutQuery query;
    query.user_gmf = model_->user_gmf();
    query.seen = seen;
    query.held_out_item = held_out;
    queries_.push_back(query);
  }

  absl::StatusOr<LeaveOneOutMetrics> Evaluate() const {
    return EvaluateLeaveOneOut(model_->scorer(), queries_);
  }

  std::unique_ptr<FixedScoresModel> model_;
  std::vector<HeldOutQuery> queries_;
};

TEST_F(LeaveOneOutTest, AveragesOverUsers) {
  Catalog({5, 4, 3, 2, 1});
  const std::vector<uint32_t> seen = {0, 2};
  User(seen, 1);  // first of three
  User(seen, 3);  // second of three
  User({}, 4);    // last of five
  NEUMF_ASSERT_OK_AND_ASSIGN(const LeaveOneOutMetrics metrics, Evaluate());
  EXPECT_EQ(metrics.num_users, 3);
  EXPECT_EQ(metrics.hit_at_50, 1);
  EXPECT_DOUBLE_EQ(metrics.auc, (1 + .5 + 0) / 3);
  EXPECT_DOUBLE_EQ(metrics.midrank_auc, metrics.auc);
}

TEST_F(LeaveOneOutTest, HitsOnlyWithinTheFirstFifty) {
  std::vector<float> scores(200);
  std::iota(scores.rbegin(), scores.rend(), 0.0F);
  Catalog(scores);
  User({}, 49);
  User({}, 50);
  NEUMF_ASSERT_OK_AND_ASSIGN(const LeaveOneOutMetrics metrics, Evaluate());
  EXPECT_EQ(metrics.hit_at_50, .5);
}

TEST_F(LeaveOneOutTest, BreaksTiesByRowAndSaysWhatHalfWouldGive) {
  Catalog(std::vector<float>(101, 7.0F));
  User({}, 0);
  User({}, 25);
  NEUMF_ASSERT_OK_AND_ASSIGN(const LeaveOneOutMetrics metrics, Evaluate());
  EXPECT_EQ(metrics.hit_at_50, 1);
  EXPECT_DOUBLE_EQ(metrics.auc, (1 + .75) / 2);
  EXPECT_DOUBLE_EQ(metrics.midrank_auc, .5);
  EXPECT_EQ(metrics.midrank_hit_at_50, 0);
}

TEST_F(LeaveOneOutTest, SharesOnlyThePlacesOfEqualScores) {
  Catalog({9, 5, 5, 5, 1});
  User({}, 3);
  NEUMF_ASSERT_OK_AND_ASSIGN(const LeaveOneOutMetrics metrics, Evaluate());
  EXPECT_DOUBLE_EQ(metrics.auc, 1.0 / 4);
  EXPECT_DOUBLE_EQ(metrics.midrank_auc, 2.0 / 4);
}

TEST_F(LeaveOneOutTest, CountsMoreUsersThanFitABatch) {
  Catalog({2, 1});
  for (int i = 0; i < 150; ++i) User({}, i % 2);
  NEUMF_ASSERT_OK_AND_ASSIGN(const LeaveOneOutMetrics metrics, Evaluate());
  EXPECT_EQ(metrics.num_users, 150);
  EXPECT_DOUBLE_EQ(metrics.auc, .5);
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

TEST(LeaveOneOutMemoryTest, RanksFewerUsersAtOnceTheLargerTheCatalog) {
  const std::vector<HeldOutQuery> queries(100);
  for (const auto& [num_items, users_at_once] :
       {std::pair{1'000, 64}, {1 << 20, 8}, {100 << 20, 1}}) {
    const HugeCatalogScorer scorer(num_items);
    NEUMF_ASSERT_OK_AND_ASSIGN(const LeaveOneOutMetrics metrics,
                               EvaluateLeaveOneOut(scorer, queries));
    EXPECT_EQ(metrics.num_users, 100);
    EXPECT_EQ(scorer.largest_batch(), users_at_once) << num_items;
  }
}

TEST_F(LeaveOneOutTest, RefusesAHeldOutItemThatWasSeen) {
  Catalog({3, 2, 1});
  const std::vector<uint32_t> seen = {1};
  User({}, 0);
  User(seen, 1);
  EXPECT_THAT(Evaluate(), StatusIs(absl::StatusCode::kInvalidArgument,
                                   HasSubstr("query 1: the held-out item")));
}

TEST_F(LeaveOneOutTest, RefusesToAverageOverNobody) {
  Catalog({1});
  EXPECT_THAT(Evaluate(), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace neumf
