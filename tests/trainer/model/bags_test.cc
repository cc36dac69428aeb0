#include "trainer/model/bags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace neumf {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::FloatEq;
using testing::IsEmpty;

// 3 users, 5 items; user 1 has no event.
ItemSequences Sequences() {
  return ItemSequences(3, std::vector<Event>{{0, 4, 5, 1},
                                             {0, 2, 5, 2},
                                             {0, 4, 5, 3},
                                             {0, 1, 5, 4},
                                             {2, 0, 5, 1}});
}

ModelSpec Spec() {
  ModelSpec spec;
  spec.num_users = 3;
  spec.num_items = 5;
  spec.factors = 2;
  return spec;
}

FeatureTable Features(const std::vector<std::vector<std::string>>& rows) {
  return FeatureTable(rows);
}

struct Appended {
  Appended(const UserBags& bags, uint32_t user, uint32_t position)
      : num_bias_rows(bags.Append(user, position, &rows, &weights)) {}

  std::vector<uint32_t> rows;
  std::vector<float> weights;
  uint32_t num_bias_rows;
};

TEST(ItemBagsTest, WithoutFeaturesAnItemIsItsOwnRow) {
  const ItemBags bags(3, nullptr);
  EXPECT_TRUE(bags.is_identity());
  EXPECT_EQ(bags.num_items(), 3U);
  const Bag bag = bags.bag(2);
  EXPECT_THAT(bag.rows, ElementsAre(2));
  EXPECT_THAT(bag.weights, ElementsAre(1));
  EXPECT_EQ(bag.num_bias_rows, 1U);
}

TEST(ItemBagsTest, FeatureRowsStandBehindTheItems) {
  const FeatureTable features = Features({{"b", "a"}, {}, {"c", "a"}});
  const ItemBags bags(3, &features);
  EXPECT_FALSE(bags.is_identity());
  EXPECT_THAT(bags.bag(0).rows, ElementsAre(0, 3, 4));
  EXPECT_THAT(bags.bag(1).rows, ElementsAre(1));
  EXPECT_THAT(bags.bag(2).rows, ElementsAre(2, 3, 5));
  EXPECT_THAT(bags.bag(2).weights, ElementsAre(1, 1, 1));
  EXPECT_EQ(bags.bag(2).num_bias_rows, 3U);
}

TEST(ItemBagsTest, FeaturesThatNoItemHasChangeNothing) {
  const FeatureTable features = Features({{}, {}, {}});
  EXPECT_TRUE(ItemBags(3, &features).is_identity());
}

TEST(UserBagsTest, WithoutFeaturesAndHistoryAUserIsItsOwnRow) {
  const ItemSequences sequences = Sequences();
  const UserBags bags(Spec(), nullptr, &sequences);
  const Appended bag(bags, 0, 3);
  EXPECT_THAT(bag.rows, ElementsAre(0));
  EXPECT_THAT(bag.weights, ElementsAre(1));
  EXPECT_EQ(bag.num_bias_rows, 1U);
}

TEST(UserBagsTest, HistoryIsWhatCameBeforeLastFirst) {
  ModelSpec spec = Spec();
  spec.history_length = 2;
  spec.history_decay = 4;
  const ItemSequences sequences = Sequences();
  const UserBags bags(spec, nullptr, &sequences);
  // Rows of history stand behind the 3 users.
  EXPECT_THAT(Appended(bags, 0, 0).rows, ElementsAre(0));
  EXPECT_THAT(Appended(bags, 0, 1).rows, ElementsAre(0, 3 + 4));
  EXPECT_THAT(Appended(bags, 0, 2).rows, ElementsAre(0, 3 + 2, 3 + 4));
  EXPECT_THAT(Appended(bags, 0, 3).rows, ElementsAre(0, 3 + 4, 3 + 2));
  const Appended last(bags, 0, 4);
  EXPECT_THAT(last.rows, ElementsAre(0, 3 + 1, 3 + 4));
  EXPECT_THAT(last.weights,
              ElementsAre(1, 1, FloatEq(static_cast<float>(std::exp(-0.25)))));
  EXPECT_EQ(last.num_bias_rows, 1U);
}

TEST(UserBagsTest, LatestIsAfterAllTrainEvents) {
  ModelSpec spec = Spec();
  spec.history_length = 3;
  const ItemSequences sequences = Sequences();
  const UserBags bags(spec, nullptr, &sequences);
  std::vector<uint32_t> rows;
  std::vector<float> weights;
  EXPECT_EQ(bags.AppendLatest(0, &rows, &weights), 1U);
  EXPECT_THAT(rows, ElementsAre(0, 3 + 1, 3 + 4, 3 + 2));
  rows.clear();
  EXPECT_EQ(bags.AppendLatest(1, &rows, &weights), 1U);
  EXPECT_THAT(rows, ElementsAre(1));
}

TEST(UserBagsTest, FeaturesStandBetweenUserAndHistoryAndHaveBiases) {
  const FeatureTable features = Features({{"x", "y"}, {}, {"y"}});
  ModelSpec spec = Spec();
  spec.num_user_features = 2;
  spec.history_length = 9;
  const ItemSequences sequences = Sequences();
  const UserBags bags(spec, &features, &sequences);
  const Appended first(bags, 0, 1);
  EXPECT_THAT(first.rows, ElementsAre(0, 3, 4, 3 + 2 + 4));
  EXPECT_THAT(first.weights, Each(1));
  EXPECT_EQ(first.num_bias_rows, 3U);
  EXPECT_EQ(Appended(bags, 1, 0).num_bias_rows, 1U);
  EXPECT_THAT(Appended(bags, 2, 1).rows, ElementsAre(2, 4, 3 + 2 + 0));
}

TEST(UserBagsTest, AppendsBehindWhatIsThere) {
  ModelSpec spec = Spec();
  spec.history_length = 1;
  const ItemSequences sequences = Sequences();
  const UserBags bags(spec, nullptr, &sequences);
  std::vector<uint32_t> rows;
  std::vector<float> weights;
  bags.Append(2, 1, &rows, &weights);
  EXPECT_EQ(bags.Append(0, 2, &rows, &weights), 1U);
  EXPECT_THAT(rows, ElementsAre(2, 3 + 0, 0, 3 + 2));
  EXPECT_EQ(weights.size(), rows.size());
}

}  // namespace
}  // namespace neumf
