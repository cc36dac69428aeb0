#include "trainer/recipes.h"

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "model/serving_model.h"

namespace neumf {
namespace {

// The NeuMF chapter of "Dive into Deep Learning".
Recipe D2lNeuMf() {
  Recipe recipe;
  recipe.name = "d2l-neumf";
  recipe.model = "neumf";
  recipe.loss = "bpr";
  recipe.sampler = "pool";
  recipe.optimizer = "adam";
  recipe.settings.factors = 10;
  recipe.settings.tower_factors = 10;
  recipe.settings.hidden = {10, 10, 10};
  recipe.settings.batch_size = 1024;
  recipe.settings.epochs = 10;
  recipe.settings.learning_rate = 0.01;
  recipe.settings.weight_decay = 1e-5;
  recipe.reaches = "ml-100k, protocol d2l: Hit@50 .35, AUC .881";
  return recipe;
}

absl::Status CheckRange(absl::string_view name, double value, double low,
                        double high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, " must be ", low, " to ", high, ", not ", value));
}

}  // namespace

absl::Span<const Recipe> Recipes() {
  static const auto* const recipes = new std::vector<Recipe>{D2lNeuMf()};
  return *recipes;
}

absl::StatusOr<Recipe> FindRecipe(absl::string_view name) {
  std::vector<absl::string_view> names;
  for (const Recipe& recipe : Recipes()) {
    if (name == recipe.name) return recipe;
    names.emplace_back(recipe.name);
  }
  return absl::NotFoundError(absl::StrCat(
      "no recipe '", name, "'; this build knows ", absl::StrJoin(names, ", ")));
}

absl::Status ValidateSettings(const TrainSettings& settings) {
  NEUMF_RETURN_IF_ERROR(
      CheckRange("factors", settings.factors, 1, ModelLimits::kMaxWidth));
  NEUMF_RETURN_IF_ERROR(CheckRange("tower_factors", settings.tower_factors, 1,
                                   ModelLimits::kMaxWidth));
  NEUMF_RETURN_IF_ERROR(CheckRange("the number of hidden layers",
                                   settings.hidden.size(), 1,
                                   ModelLimits::kMaxTowerLayers));
  for (uint32_t width : settings.hidden) {
    NEUMF_RETURN_IF_ERROR(CheckRange("the width of a hidden layer", width, 1,
                                     ModelLimits::kMaxWidth));
  }
  NEUMF_RETURN_IF_ERROR(
      CheckRange("batch_size", settings.batch_size, 1, 1 << 24));
  NEUMF_RETURN_IF_ERROR(CheckRange("epochs", settings.epochs, 1, 1e6));
  NEUMF_RETURN_IF_ERROR(
      CheckRange("learning_rate", settings.learning_rate, 1e-12, 1e30));
  return CheckRange("weight_decay", settings.weight_decay, 0, 1e3);
}

absl::StatusOr<std::vector<uint32_t>> ParseHidden(absl::string_view text) {
  std::vector<uint32_t> hidden;
  for (absl::string_view part : absl::StrSplit(text, '-')) {
    uint32_t width = 0;
    if (!absl::SimpleAtoi(part, &width)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "hidden layers are written like 10-10-10, not '", text, "'"));
    }
    hidden.push_back(width);
  }
  return hidden;
}

std::string HiddenText(absl::Span<const uint32_t> hidden) {
  return absl::StrJoin(hidden, "-");
}

std::string DescribeRecipes() {
  std::string text;
  for (const Recipe& recipe : Recipes()) {
    const TrainSettings& settings = recipe.settings;
    absl::StrAppendFormat(
        &text,
        "%s\n"
        "  model %s, %u factors, tower factors %u, hidden layers %s\n"
        "  loss %s, sampler %s, batches of %u, %u epochs\n"
        "  optimizer %s, learning rate %g, weight decay %g\n"
        "  reaches %s\n",
        recipe.name, recipe.model, settings.factors, settings.tower_factors,
        HiddenText(settings.hidden), recipe.loss, recipe.sampler,
        settings.batch_size, settings.epochs, recipe.optimizer,
        settings.learning_rate, settings.weight_decay, recipe.reaches);
  }
  return text;
}

}  // namespace neumf
