// The protocol of "Dive into Deep Learning" on MovieLens 100k, against numbers
// that were computed by other means: whoever changes the split, the order of
// item rows, ties or the metrics moves them.

#include <memory>
#include <utility>
#include <vector>

#include "data/interactions.h"
#include "data/readers.h"
#include "data/split.h"
#include "eval/protocols.h"
#include "tests/eval/fixed_scores_model.h"
#include "tests/support/movielens.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

class MovieLensProtocolTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto files = MakePosixFileSystem();
    ReadReport report;
    NEUMF_ASSERT_OK_AND_ASSIGN(
        const EventLog log,
        ReadMovieLens100k(*files, MovieLens100kDirectory(), {}, &report));
    const Split split = *MakeSplit(log, SplitKind::kD2l, HeldOut::kTest);
    train_ = std::make_unique<Interactions>(log.num_users(), log.num_items(),
                                            split.train);
    held_out_ = split.held_out;
    ASSERT_EQ(train_->num_interactions(), 99057);
    ASSERT_EQ(held_out_.size(), 943);
  }

  LeaveOneOutMetrics Evaluate(std::vector<float> item_scores) const {
    const FixedScoresModel model(std::move(item_scores));
    std::vector<HeldOutQuery> queries;
    for (const Event& event : held_out_) {
      HeldOutQuery query;
      query.user_gmf = model.user_gmf();
      query.seen = train_->row(event.user);
      query.held_out_item = event.item;
      queries.push_back(query);
    }
    auto metrics = EvaluateLeaveOneOut(model.scorer(), queries);
    EXPECT_THAT(metrics, IsOk());
    return *metrics;
  }

  std::unique_ptr<Interactions> train_;
  std::vector<Event> held_out_;
};

// The published digits.
constexpr double kHalfDigit = .00005;

TEST_F(MovieLensProtocolTest, AConstantScoreRanksByRow) {
  const LeaveOneOutMetrics metrics =
      Evaluate(std::vector<float>(train_->num_items(), 0.0F));
  EXPECT_NEAR(metrics.hit_at_50, .0753, kHalfDigit);
  EXPECT_NEAR(metrics.auc, .7329, kHalfDigit);
  EXPECT_NEAR(metrics.midrank_auc, .5, 1e-9);
}

TEST_F(MovieLensProtocolTest, PopularityIsABaseline) {
  const std::vector<uint32_t> counts = train_->ItemCounts();
  const LeaveOneOutMetrics metrics =
      Evaluate(std::vector<float>(counts.begin(), counts.end()));
  EXPECT_NEAR(metrics.hit_at_50, .2153, kHalfDigit);
  EXPECT_NEAR(metrics.auc, .7989, kHalfDigit);
}

}  // namespace
}  // namespace neumf
