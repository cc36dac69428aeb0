#include "trainer/recipes.h"

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "trainer/settings_rules.h"

namespace neumf {
namespace {

class RecipeParser {
 public:
  // One line, without its comment and the space around it.
  absl::Status Add(absl::string_view line) {
    if (TakeWord("recipe", &line)) {
      recipes_.emplace_back();
      recipes_.back().name = std::string(line);
      return absl::OkStatus();
    }
    if (recipes_.empty()) {
      return absl::InvalidArgumentError("there is no recipe yet");
    }
    Recipe& recipe = recipes_.back();
    if (TakeWord("about", &line)) return Append(line, &recipe.about);
    if (TakeWord("protocol", &line)) return Append(line, &recipe.protocol);
    if (TakeWord("chosen", &line)) return Append(line, &recipe.chosen);
    if (TakeWord("reaches", &line)) return Append(line, &recipe.reaches);
    if (TakeWord("stage", &line)) {
      recipe.stages.emplace_back();
      recipe.stages.back().name = std::string(line);
      return absl::OkStatus();
    }
    if (recipe.stages.empty()) {
      return absl::InvalidArgumentError("there is no stage yet");
    }
    return AddSettings(line, &recipe.settings());
  }

  std::vector<Recipe> Finish() && { return std::move(recipes_); }

 private:
  static bool TakeWord(absl::string_view word, absl::string_view* line) {
    return absl::ConsumePrefix(line, absl::StrCat(word, " "));
  }

  // A text may go on in a second line of the same word.
  static absl::Status Append(absl::string_view line, std::string* text) {
    absl::StrAppend(text, text->empty() ? "" : " ", line);
    return absl::OkStatus();
  }

  static absl::Status AddSettings(absl::string_view line,
                                  TrainSettings* settings) {
    for (absl::string_view pair :
         absl::StrSplit(line, ' ', absl::SkipEmpty())) {
      const std::pair<absl::string_view, absl::string_view> setting =
          absl::StrSplit(pair, absl::MaxSplits('=', 1));
      NEUMF_RETURN_IF_ERROR(
          SetSetting(setting.first, setting.second, settings));
    }
    return absl::OkStatus();
  }

  std::vector<Recipe> recipes_;
};

const std::vector<Recipe>& AllRecipes() {
  static const auto* const recipes = [] {
    absl::StatusOr<std::vector<Recipe>> parsed = ParseRecipes(RecipeTexts());
    NEUMF_CHECK(parsed.ok());  // a test parses them too, and says what is wrong
    return new std::vector<Recipe>(*std::move(parsed));
  }();
  return *recipes;
}

absl::Status CheckName(const std::string& name,
                       absl::Span<const RecipeStage> earlier) {
  for (const RecipeStage& stage : earlier) {
    if (name == stage.name) {
      return absl::InvalidArgumentError(
          absl::StrCat("two stages are called ", name));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPretrained(const std::string& setting,
                             absl::Span<const RecipeStage> earlier) {
  if (!absl::StartsWith(setting, "@")) return absl::OkStatus();
  for (const RecipeStage& stage : earlier) {
    if (setting.substr(1) == stage.name) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(setting, " names no earlier stage"));
}

std::string DescribeStage(const RecipeStage& stage) {
  const TrainSettings defaults;
  std::vector<std::string> settings;
  for (const std::string& name : SettingNames()) {
    const std::string text = SettingText(name, stage.settings);
    if (text == SettingText(name, defaults) && name != "model") continue;
    settings.push_back(absl::StrCat("--", name, " ", text));
  }
  return absl::StrCat("  ", stage.name, ": ", absl::StrJoin(settings, " "),
                      "\n");
}

}  // namespace

absl::StatusOr<std::vector<Recipe>> ParseRecipes(absl::string_view text) {
  RecipeParser parser;
  uint64_t line_number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++line_number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    NEUMF_RETURN_IF_ERROR(
        Annotate(parser.Add(line), absl::StrCat("line ", line_number)));
  }
  std::vector<Recipe> recipes = std::move(parser).Finish();
  for (const Recipe& recipe : recipes) {
    NEUMF_RETURN_IF_ERROR(
        Annotate(ValidateRecipe(recipe), absl::StrCat("recipe ", recipe.name)));
  }
  return recipes;
}

absl::Status ValidateRecipe(const Recipe& recipe) {
  if (recipe.stages.empty()) {
    return absl::InvalidArgumentError("there is no stage");
  }
  const absl::Span<const RecipeStage> stages(recipe.stages);
  for (size_t s = 0; s < stages.size(); ++s) {
    const TrainSettings& settings = stages[s].settings;
    const std::string where = stages.size() == 1
                                  ? "settings"
                                  : absl::StrCat("stage ", stages[s].name);
    NEUMF_RETURN_IF_ERROR(Annotate(ValidateSettings(settings), where));
    NEUMF_RETURN_IF_ERROR(CheckName(stages[s].name, stages.first(s)));
    for (const std::string& pretrained :
         {settings.pretrained_gmf, settings.pretrained_mlp}) {
      NEUMF_RETURN_IF_ERROR(
          Annotate(CheckPretrained(pretrained, stages.first(s)), where));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Recipe> FindRecipe(absl::string_view name) {
  std::vector<absl::string_view> names;
  for (const Recipe& recipe : AllRecipes()) {
    if (name == recipe.name) return recipe;
    names.emplace_back(recipe.name);
  }
  return absl::NotFoundError(absl::StrCat(
      "no recipe '", name, "'; this build knows ", absl::StrJoin(names, ", ")));
}

std::string DescribeRecipes() {
  std::string text;
  for (const Recipe& recipe : AllRecipes()) {
    absl::StrAppend(&text, recipe.name, ": ", recipe.about, "\n");
    if (!recipe.protocol.empty()) {
      absl::StrAppend(&text, "  protocol ", recipe.protocol, "\n");
    }
    for (const RecipeStage& stage : recipe.stages) {
      absl::StrAppend(&text, DescribeStage(stage));
    }
    if (!recipe.chosen.empty()) {
      absl::StrAppend(&text, "  chosen by ", recipe.chosen, "\n");
    }
    absl::StrAppend(&text, "  reaches ", recipe.reaches, "\n");
  }
  return text;
}

}  // namespace neumf
