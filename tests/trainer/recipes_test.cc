#include "trainer/recipes.h"

#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(RecipesTest, EveryRecipeIsFoundAndIsInRange) {
  ASSERT_FALSE(Recipes().empty());
  for (const Recipe& recipe : Recipes()) {
    NEUMF_ASSERT_OK_AND_ASSIGN(const Recipe found, FindRecipe(recipe.name));
    NEUMF_EXPECT_OK(ValidateSettings(found.settings));
    EXPECT_THAT(DescribeRecipes(), HasSubstr(recipe.name));
  }
}

TEST(RecipesTest, UnknownRecipeNamesThoseThatThereAre) {
  EXPECT_THAT(FindRecipe("ncf"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("d2l-neumf")));
}

TEST(RecipesTest, HiddenLayersAreWidthsBetweenDashes) {
  EXPECT_THAT(ParseHidden("32-16-8"), IsOkAndHolds(ElementsAre(32, 16, 8)));
  EXPECT_EQ(HiddenText({32, 16, 8}), "32-16-8");
  for (const char* text : {"", "10,10", "10--10", "-1", "ten"}) {
    EXPECT_THAT(ParseHidden(text), StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

TEST(RecipesTest, SettingsOutOfRangeAreNamed) {
  const TrainSettings good = FindRecipe("d2l-neumf")->settings;
  TrainSettings settings = good;
  settings.batch_size = 0;
  EXPECT_THAT(
      ValidateSettings(settings),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("batch_size")));
  settings = good;
  settings.tower_factors = 0;
  EXPECT_THAT(
      ValidateSettings(settings),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tower_factors")));
  settings = good;
  settings.hidden = {10, 0};
  EXPECT_THAT(
      ValidateSettings(settings),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("hidden")));
  settings = good;
  settings.learning_rate = -1;
  EXPECT_THAT(
      ValidateSettings(settings),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("learning_rate")));
}

}  // namespace
}  // namespace neumf
