#pragma once

// Named sets of all training settings, with the scores that chose them and the
// numbers that they reach. They stand in recipe_texts.cc, as text.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "trainer/settings.h"

namespace neumf {

// A training run of its own. Stages before the last one give weights to begin
// with: a later stage names them as @stage in pretrained_gmf or pretrained_mlp.
struct RecipeStage {
  std::string name;
  TrainSettings settings;
};

struct Recipe {
  std::string name;
  std::string about;     // what it is, and from where
  std::string protocol;  // that it is measured with, and that splits its data
  std::string chosen;    // the validation score that chose it
  std::string reaches;   // on which data
  std::vector<RecipeStage> stages;  // at least one

  // Of the model that is published.
  TrainSettings& settings() { return stages.back().settings; }
  const TrainSettings& settings() const { return stages.back().settings; }
};

// All recipes, as recipe_texts.cc has them.
absl::string_view RecipeTexts();

// A text like
//
//   recipe NAME
//     about TEXT
//     protocol d2l
//     chosen TEXT
//     reaches TEXT
//     stage NAME
//       model=neumf factors=10 hidden=10-10-10
//       loss=bpr
//
// where # begins a comment. INVALID_ARGUMENT names the line.
absl::StatusOr<std::vector<Recipe>> ParseRecipes(absl::string_view text);

// NOT_FOUND names the recipes that there are.
absl::StatusOr<Recipe> FindRecipe(absl::string_view name);

// OK when the settings of every stage are, and each names only earlier stages.
absl::Status ValidateRecipe(const Recipe& recipe);

// A paragraph a recipe, for people; all settings that are not the defaults.
std::string DescribeRecipes();

}  // namespace neumf
