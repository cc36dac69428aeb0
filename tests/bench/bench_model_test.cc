#include "bench/bench_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::Contains;
using testing::Each;
using testing::Lt;
using testing::SizeIs;

TEST(MacsPerPairTest, CountsLayersHeadAndProduct) {
  EXPECT_EQ(MacsPerPair(MakeRandomTower("A", 16).shape), 656);
  EXPECT_EQ(MacsPerPair(MakeRandomTower("B", 16).shape), 2584);
  EXPECT_EQ(MacsPerPair(MakeRandomTower("C", 16).shape), 8264);
  EXPECT_EQ(MacsPerPair(MakeRandomDotProduct(16, 16).shape), 16);
}

TEST(WithItemsTest, RepeatsTheItemsWithNoiseFromTheSecondCopyOn) {
  const BenchModel model = MakeRandomTower("A", 300);
  const BenchModel large = WithItems(model, 1000);
  EXPECT_EQ(large.shape.num_items, 1000U);
  EXPECT_EQ(large.items.tower.row(7), model.items.tower.row(7));
  EXPECT_NE(large.items.tower.row(307), model.items.tower.row(7));
}

TEST(LoadTrainedModelTest, SaysThatThereIsNone) {
  EXPECT_FALSE(LoadTrainedModel("/no/such/directory").ok());
}

class QueryBatchTest : public testing::Test {
 protected:
  const BenchModel model_ = MakeRandomTower("A", 1000);
};

TEST_F(QueryBatchTest, GivesEachUserThatManySeenItems) {
  const QueryBatch batch(model_, 4, 50, 10);
  ASSERT_THAT(batch.queries(), SizeIs(4));
  for (const RankQuery& query : batch.queries()) {
    EXPECT_THAT(query.seen, SizeIs(50));
    EXPECT_THAT(query.seen, Each(Lt(1000U)));
    EXPECT_TRUE(std::is_sorted(query.seen.begin(), query.seen.end()));
    EXPECT_EQ(query.k, 10U);
  }
}

TEST_F(QueryBatchTest, ShowsUsersTheirBestItems) {
  const QueryBatch batch(model_, 1, 50, 10);
  RankQuery unfiltered = batch.queries()[0];
  unfiltered.seen = {};
  Ranking best;
  NEUMF_ASSERT_OK(
      MakeScorer(model_, 1)->Rank({&unfiltered, 1}, {&best, 1}));
  EXPECT_THAT(batch.queries()[0].seen, Contains(best.items[0].row));
}

}  // namespace
}  // namespace neumf
