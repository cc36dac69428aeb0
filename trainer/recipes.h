#pragma once

// Named sets of all training settings, with the numbers that they reach.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace neumf {

struct TrainSettings {
  uint32_t factors = 0;          // width of the two GMF embeddings
  uint32_t tower_factors = 0;    // width of the two tower embeddings
  std::vector<uint32_t> hidden;  // widths of the tower's layers, at least one
  uint32_t batch_size = 0;       // train pairs a step
  uint32_t epochs = 0;           // times that each train pair is seen
  double learning_rate = 0;
  double weight_decay = 0;  // L2, added to the gradient of every parameter
};

struct Recipe {
  const char* name;
  const char* model;
  const char* loss;
  const char* sampler;
  const char* optimizer;
  TrainSettings settings;
  // Measured, on which data and by which protocol.
  const char* reaches;
};

absl::Span<const Recipe> Recipes();

// NOT_FOUND names the recipes that there are.
absl::StatusOr<Recipe> FindRecipe(absl::string_view name);

// INVALID_ARGUMENT names the setting that is out of range.
absl::Status ValidateSettings(const TrainSettings& settings);

// "10-10-10" is {10, 10, 10}.
absl::StatusOr<std::vector<uint32_t>> ParseHidden(absl::string_view text);
std::string HiddenText(absl::Span<const uint32_t> hidden);

// A paragraph a recipe, for people.
std::string DescribeRecipes();

}  // namespace neumf
