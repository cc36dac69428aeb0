#include "trainer/model/model_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/support/status_matchers.h"
#include "tests/trainer/model/model_zoo.h"

namespace neumf {
namespace {

using testing::HasSubstr;

ModelSpec NeuMf() {
  ModelSpec spec;
  spec.num_users = 3;
  spec.num_items = 4;
  spec.factors = 8;
  spec.learned_head = true;
  spec.user_tower_factors = 8;
  spec.item_tower_factors = 8;
  spec.hidden = {8, 4};
  return spec;
}

void ExpectRefused(const ModelSpec& spec, const std::string& text) {
  EXPECT_THAT(ValidateSpec(spec),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(text)));
}

TEST(ModelSpecTest, EveryModelOfTheFamilyIsAccepted) {
  for (const ModelCase& model_case : ModelZoo()) {
    EXPECT_THAT(ValidateSpec(model_case.spec), IsOk()) << model_case.name;
  }
}

TEST(ModelSpecTest, ScoresComeFromSomewhere) {
  ModelSpec spec;
  spec.num_users = 3;
  spec.num_items = 4;
  spec.item_bias = true;
  ExpectRefused(spec, "neither a product nor a tower: give --factors");
}

TEST(ModelSpecTest, NeedsUsersAndItems) {
  ModelSpec spec = NeuMf();
  spec.num_users = 0;
  ExpectRefused(spec, "number of users is 0");
  spec = NeuMf();
  spec.num_items = 0;
  ExpectRefused(spec, "number of items is 0");
}

TEST(ModelSpecTest, RowsOfATableAre32BitNumbers) {
  ModelSpec spec = NeuMf();
  spec.num_users = spec.num_items = 3'000'000'000;
  NEUMF_EXPECT_OK(ValidateSpec(spec));
  spec.history_length = 1;
  ExpectRefused(spec, "with --history, of items, together, is 6000000000");
  spec.history_length = 0;
  spec.num_item_features = 2'000'000'000;
  ExpectRefused(spec, "number of items and of their features, together,");
}

TEST(ModelSpecTest, WhatBelongsToTheProductNeedsFactors) {
  ModelSpec spec = NeuMf();
  spec.factors = 0;
  ExpectRefused(spec, "give --factors");
  spec.learned_head = false;
  NEUMF_EXPECT_OK(ValidateSpec(spec));
  spec.cosine = true;
  ExpectRefused(spec, "--cosine has no effect");
  spec.cosine = false;
  spec.feature_interactions = true;
  ExpectRefused(spec, "--feature_interactions has no effect");
}

TEST(ModelSpecTest, CosineExcludesProductsWithinASide) {
  ModelSpec spec = NeuMf();
  spec.cosine = spec.feature_interactions = true;
  ExpectRefused(spec, "exclude each other");
}

TEST(ModelSpecTest, WhatBelongsToTheTowerNeedsHidden) {
  ModelSpec spec = NeuMf();
  spec.hidden.clear();
  ExpectRefused(spec, "--tower_factors has no effect");
  spec.user_tower_factors = spec.item_tower_factors = 0;
  NEUMF_EXPECT_OK(ValidateSpec(spec));
  spec.linear_width = 4;
  ExpectRefused(spec, "--linear_width has no effect");
}

TEST(ModelSpecTest, ATowerNeedsInputsOfBothSides) {
  ModelSpec spec = NeuMf();
  spec.user_tower_factors = 0;
  ExpectRefused(spec, "--tower_factors of users is 0");
  spec = NeuMf();
  spec.item_tower_factors = 0;
  ExpectRefused(spec, "--tower_factors of items is 0");
}

TEST(ModelSpecTest, WidthsAreThoseThatAreServed) {
  ModelSpec spec = NeuMf();
  spec.factors = 4096;
  NEUMF_EXPECT_OK(ValidateSpec(spec));
  spec.user_bias = true;  // takes a column
  ExpectRefused(spec, "--factors is 4096, not from 0 to 4095");
  spec = NeuMf();
  spec.hidden = {8, 0};
  ExpectRefused(spec, "a width in --hidden is 0");
  spec.hidden = {4097};
  ExpectRefused(spec, "a width in --hidden is 4097");
  spec.hidden.assign(17, 2);
  ExpectRefused(spec, "layers in --hidden is 17");
}

TEST(ModelSpecTest, HistoryDecays) {
  ModelSpec spec = NeuMf();
  spec.history_decay = 0;  // not looked at without history
  NEUMF_EXPECT_OK(ValidateSpec(spec));
  spec.history_length = 5;
  ExpectRefused(spec, "--history_decay is 0");
  spec.history_decay = std::numeric_limits<double>::infinity();
  ExpectRefused(spec, "--history_decay is inf");
  spec.history_decay = 5;
  spec.history_length = 10'001;
  ExpectRefused(spec, "--history is 10001");
}

}  // namespace
}  // namespace neumf
