#include "trainer/recipes.h"

#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"
#include "trainer/settings_parts.h"

namespace neumf {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST(RecipesTest, EveryRecipeIsReadAndFound) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::vector<Recipe> recipes,
                             ParseRecipes(RecipeTexts()));
  ASSERT_FALSE(recipes.empty());
  for (const Recipe& recipe : recipes) {
    NEUMF_ASSERT_OK_AND_ASSIGN(const Recipe found, FindRecipe(recipe.name));
    NEUMF_EXPECT_OK(ValidateRecipe(found));
    EXPECT_THAT(found.about, Not(IsEmpty())) << recipe.name;
    EXPECT_THAT(found.reaches, Not(IsEmpty())) << recipe.name;
    EXPECT_THAT(DescribeRecipes(), HasSubstr(recipe.name));
  }
}

// On the MovieLens 1M of the NCF paper, where its walk-through counts them.
TEST(RecipesTest, WalkThroughHasItsNumberOfParameters) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const Recipe recipe, FindRecipe("blog-neumf8"));
  NEUMF_ASSERT_OK_AND_ASSIGN(const ModelSpec spec,
                             SpecOf(recipe.settings(), 6040, 3706));
  EXPECT_EQ(ParameterLayout(spec).size, 159'857U);
}

TEST(RecipesTest, UnknownRecipeNamesThoseThatThereAre) {
  EXPECT_THAT(FindRecipe("nothing"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("d2l-neumf")));
}

TEST(RecipesTest, StagesFollowEachOther) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::vector<Recipe> recipes, ParseRecipes(R"(
recipe two   # a comment
  about a text
  about that goes on
  protocol ncf
  stage first
    model=gmf factors=4
  stage second
    model=neumf factors=4
    hidden=8-4 pretrained_gmf=@first
)"));
  ASSERT_EQ(recipes.size(), 1U);
  const Recipe& recipe = recipes[0];
  EXPECT_EQ(recipe.name, "two");
  EXPECT_EQ(recipe.about, "a text that goes on");
  EXPECT_EQ(recipe.protocol, "ncf");
  ASSERT_EQ(recipe.stages.size(), 2U);
  EXPECT_EQ(recipe.stages[0].settings.model, ModelKind::kGmf);
  EXPECT_EQ(recipe.settings().hidden, (std::vector<uint32_t>{8, 4}));
}

TEST(RecipesTest, SaysWhichLineIsWrong) {
  const auto refused = [](const char* text, const char* why) {
    EXPECT_THAT(ParseRecipes(text).status(),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(why)))
        << text;
  };
  refused("about nothing\n", "line 1: there is no recipe yet");
  refused("recipe a\n  model=gmf\n", "line 2: there is no stage yet");
  refused("recipe a\n stage s\n  width=4\n", "line 3: no setting 'width'");
  refused("recipe a\n stage s\n  factors=many\n", "line 3: --factors takes");
  refused("recipe a\n", "recipe a: there is no stage");
  refused("recipe a\n stage s\n  model=gmf pretrained_gmf=@t\n",
          "@t names no earlier stage");
}

}  // namespace
}  // namespace neumf
