#include "model/serving_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/sha256.h"
#include "model/user_vectors.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"

namespace neumf {
namespace {

using testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

auto Refused(const char* reason) {
  return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(reason));
}

class ServingModelTest : public testing::Test {
 protected:
  absl::Status Check() const { return Validate(model_); }
  absl::Status CheckItems() const { return Validate(model_.shape, items_); }

  TinyModel tiny_ = MakeTinyModel(TinyModelOptions());
  ServingModel& model_ = tiny_.model;
  ItemTables& items_ = tiny_.items;
};

TEST_F(ServingModelTest, TakesWholeModels) {
  NEUMF_EXPECT_OK(Check());
  NEUMF_EXPECT_OK(CheckItems());
}

TEST_F(ServingModelTest, TakesModelsOfEitherPartAlone) {
  TinyModelOptions options;
  options.gmf_width = 0;
  const TinyModel tower = MakeTinyModel(options);
  NEUMF_EXPECT_OK(Validate(tower.model));
  NEUMF_EXPECT_OK(Validate(tower.model.shape, tower.items));
  options = TinyModelOptions();
  options.tower_widths.clear();
  options.item_bias = false;
  const TinyModel dot = MakeTinyModel(options);
  NEUMF_EXPECT_OK(Validate(dot.model));
  NEUMF_EXPECT_OK(Validate(dot.model.shape, dot.items));
}

TEST_F(ServingModelTest, TakesModelsWithoutTheOptionalParts) {
  model_.popularity.clear();
  model_.seen = SeenSets();
  NEUMF_EXPECT_OK(Check());
}

TEST_F(ServingModelTest, RefusesTablesOfOtherShapes) {
  model_.users.gmf = AlignedMatrix(7, 5);
  EXPECT_THAT(Check(), Refused("user.gmf is [7, 5], not [7, 4]"));
  items_.tower = AlignedMatrix(32, 8);
  EXPECT_THAT(CheckItems(), Refused("item.tower is [32, 8], not [33, 8]"));
}

TEST_F(ServingModelTest, RefusesTablesThatTheShapeDoesNotHave) {
  model_.shape.gmf_width = 0;
  EXPECT_THAT(Check(), Refused("user.gmf has 28 entries, not 0"));
  model_.shape.has_item_bias = false;
  model_.shape.gmf_width = 4;
  EXPECT_THAT(CheckItems(), Refused("item.bias has 33 entries, not 0"));
}

TEST_F(ServingModelTest, RefusesLayersThatDoNotFit) {
  ScoreNetwork& network = model_.network;
  network.layers[0].weight.pop_back();
  EXPECT_THAT(Check(), Refused("tower.2.weight has 31 entries, not 32"));
  network.layers[0].weight.push_back(0);
  network.layers[0].bias.push_back(0);
  EXPECT_THAT(Check(), Refused("tower.2.bias has 5 entries, not 4"));
  network.layers[0].out = 5;
  EXPECT_THAT(Check(), Refused("tower.2 is [5, 8], not [4, 8]"));
  network.layers.clear();
  EXPECT_THAT(Check(), Refused("layer 1 has 0 entries, not 1"));
}

TEST_F(ServingModelTest, RefusesHeadsThatDoNotFit) {
  model_.network.head_weight.push_back(0);
  EXPECT_THAT(Check(), Refused("head.weight has 5 entries, not 4"));
}

TEST_F(ServingModelTest, RefusesIdTablesOfOtherSizes) {
  std::swap(model_.user_ids, model_.item_ids);
  EXPECT_THAT(Check(), Refused("user.id has 33 entries, not 7"));
}

TEST_F(ServingModelTest, RefusesSeenSetsThatDoNotFit) {
  model_.seen = SeenSets::FromRows({0, 0}, {}, 33).value();
  EXPECT_THAT(Check(), Refused("seen.offsets has 2 entries, not 8"));
  model_.seen =
      SeenSets::FromRows({0, 0, 2, 2, 2, 2, 2, 2}, {1, 33}, 34).value();
  EXPECT_THAT(Check(), Refused("seen.items are of a catalog of 34 items, "
                               "not 33"));
}

TEST_F(ServingModelTest, RefusesPopularityOfAnotherSize) {
  model_.popularity.pop_back();
  EXPECT_THAT(Check(), Refused("item.popularity has 32 entries, not 33"));
}

TEST_F(ServingModelTest, HoldsUsersInFloat16AsWell) {
  UserTables rounded = RoundToFloat16(model_.users).value();
  model_.users = std::move(rounded);
  NEUMF_EXPECT_OK(Check());
  for (const uint16_t bad : {0x7C00, 0xFC00, 0x7E00, 0xFFFF}) {
    Float16& value = model_.users.tower16.row(1)[2];
    const Float16 good = std::exchange(value, {bad});
    EXPECT_THAT(Check(), Refused("user.tower: value 2 of row 1 is not finite"));
    value = good;
  }
  model_.users.tower16 = Float16Matrix(6, 8);
  EXPECT_THAT(Check(), Refused("user.tower is [6, 8], not [7, 8]"));
  model_.users.tower16 = {};
  EXPECT_THAT(Check(), Refused("user.tower is [0, 0], not [7, 8]"));
}

TEST_F(ServingModelTest, RefusesUsersInBothPrecisions) {
  model_.users.tower16 = RoundToFloat16(model_.users).value().tower16;
  EXPECT_THAT(Check(), Refused("in float32 beside those in float16"));
}

TEST_F(ServingModelTest, RefusesValuesThatAreNotFiniteWhereverTheyAre) {
  struct Place {
    float* value;
    const char* reason;
  };
  const Place places[] = {
      {&model_.users.gmf.row(6)[3], "user.gmf: value 3 of row 6"},
      {&model_.users.tower.row(1)[2], "user.tower: value 2 of row 1"},
      {&model_.network.layers[0].weight[9], "tower.2.weight: value 1 of row 1"},
      {&model_.network.layers[0].bias[3], "tower.2.bias: value 0 of row 3"},
      {&model_.network.head_weight[2], "head.weight: value 0 of row 2"},
      {&model_.network.head_bias, "head.bias"},
      {&model_.popularity[5], "item.popularity: value 0 of row 5"},
      {&items_.gmf.row(32)[3], "item.gmf: value 3 of row 32"},
      {&items_.tower.row(0)[7], "item.tower: value 7 of row 0"},
      {&items_.bias[32], "item.bias: value 0 of row 32"}};
  for (const Place& place : places) {
    for (const float bad : {kNan, -kNan, kInfinity, -kInfinity}) {
      const float good = *place.value;
      *place.value = bad;
      const absl::Status status = Check().ok() ? CheckItems() : Check();
      EXPECT_THAT(status, Refused(place.reason)) << bad;
      *place.value = good;
    }
  }
}

TEST_F(ServingModelTest, TakesTheLargestAndTheSmallestFloats) {
  using Limits = std::numeric_limits<float>;
  items_.bias[0] = Limits::max();
  items_.bias[1] = Limits::lowest();
  items_.bias[2] = Limits::denorm_min();
  items_.bias[3] = -0.0F;
  NEUMF_EXPECT_OK(CheckItems());
}

TEST(CheckFiniteTest, FindsTheBadValueAtEveryPlace) {
  for (size_t size = 1; size <= 40; ++size) {
    for (size_t bad = 0; bad < size; ++bad) {
      std::vector<float> values(size, 1.0F);
      values[bad] = kInfinity;
      ASSERT_FALSE(CheckFinite("x", values, 1).ok()) << bad << " of " << size;
    }
  }
  NEUMF_EXPECT_OK(CheckFinite("x", {}, 1));
}

TEST(CheckFiniteTest, CountsFromTheRowThatTheValuesBeginWith) {
  std::vector<float> values(12, 1.0F);
  values[11] = kInfinity;
  EXPECT_EQ(CheckFinite("x", values, 4).message(),
            "x: value 3 of row 2 is not finite");
  EXPECT_EQ(CheckFinite("x", values, 4, 100).message(),
            "x: value 3 of row 102 is not finite");
}

class ModelShapeTest : public testing::Test {
 protected:
  ModelShapeTest() {
    shape_.num_users = 1;
    shape_.num_items = 1;
    shape_.gmf_width = 1;
  }

  ModelShape shape_;
};

TEST_F(ModelShapeTest, MayBeAsLargeAsTheLimits) {
  NEUMF_EXPECT_OK(ValidateShape(shape_));
  shape_.num_users = ModelLimits::kMaxUsers;
  shape_.num_items = ModelLimits::kMaxItems;
  shape_.gmf_width = ModelLimits::kMaxWidth;
  shape_.tower_widths.assign(ModelLimits::kMaxTowerLayers,
                             ModelLimits::kMaxWidth);
  NEUMF_EXPECT_OK(ValidateShape(shape_));
}

TEST_F(ModelShapeTest, HasAtLeastOneUserAndOneItem) {
  shape_.num_users = 0;
  EXPECT_THAT(ValidateShape(shape_), Refused("users is 0"));
  shape_.num_users = 1;
  shape_.num_items = 0;
  EXPECT_THAT(ValidateShape(shape_), Refused("items is 0"));
}

TEST_F(ModelShapeTest, HasADotProductOrATower) {
  shape_.gmf_width = 0;
  EXPECT_THAT(ValidateShape(shape_), Refused("neither"));
  shape_.tower_widths = {1};
  NEUMF_EXPECT_OK(ValidateShape(shape_));
}

TEST_F(ModelShapeTest, IsRefusedAboveTheLimits) {
  shape_.num_items = ModelLimits::kMaxItems + 1;
  EXPECT_THAT(ValidateShape(shape_), Refused("items"));
  shape_.num_items = 1;
  shape_.tower_widths = {8, 0, 8};
  EXPECT_THAT(ValidateShape(shape_), Refused("tower layer 2 is 0"));
  shape_.tower_widths = {8, 8, 4097};
  EXPECT_THAT(ValidateShape(shape_), Refused("tower layer 3 is 4097"));
  shape_.tower_widths.assign(17, 8);
  EXPECT_THAT(ValidateShape(shape_), Refused("tower layers is 17"));
  shape_.tower_widths.clear();
  shape_.gmf_width = 4097;
  EXPECT_THAT(ValidateShape(shape_), Refused("gmf width is 4097"));
}

bool SameValues(const AlignedMatrix& a, const AlignedMatrix& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         std::equal(a.data(), a.data() + a.size(), b.data());
}

TEST_F(ServingModelTest, StreamsTablesThatCanBeStoredAgain) {
  ItemTables copy = MakeItemTables(model_.shape);
  NEUMF_ASSERT_OK(StreamItemTables(items_, [&copy](const ItemRows& rows) {
    StoreItemRows(rows, copy);
    return absl::OkStatus();
  }));
  EXPECT_TRUE(SameValues(copy.gmf, items_.gmf));
  EXPECT_TRUE(SameValues(copy.tower, items_.tower));
  EXPECT_EQ(copy.bias, items_.bias);
}

TEST_F(ServingModelTest, StoresRunsOfRowsWhereTheyBelong) {
  ItemTables copy = MakeItemTables(model_.shape);
  ItemRows rows;
  rows.table = ItemTable::kGmf;
  rows.first_row = 31;
  rows.num_rows = 2;
  rows.values = items_.gmf.row(31).data();
  StoreItemRows(rows, copy);
  EXPECT_EQ(copy.gmf.row(32), items_.gmf.row(32));
  EXPECT_EQ(copy.gmf.row(30)[0], 0);
}

TEST_F(ServingModelTest, StopsStreamingAtTheFirstFailure) {
  int calls = 0;
  const absl::Status status =
      StreamItemTables(items_, [&calls](const ItemRows& /*rows*/) {
        ++calls;
        return absl::ResourceExhaustedError("full");
      });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted, "full"));
  EXPECT_EQ(calls, 1);
}

TEST(TinyModelTest, IsTheSameForTheSameSeedOnly) {
  TinyModelOptions options;
  const TinyModel a = MakeTinyModel(options);
  const TinyModel b = MakeTinyModel(options);
  EXPECT_TRUE(SameValues(a.items.tower, b.items.tower));
  options.seed = 2;
  EXPECT_FALSE(SameValues(a.items.tower, MakeTinyModel(options).items.tower));
}

}  // namespace
}  // namespace neumf
