#include "trainer/model/model_spec.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

// A bag of more rows than this costs more than any model gains.
constexpr uint64_t kMaxHistory = 10'000;

absl::Status CheckRange(absl::string_view name, uint64_t value, uint64_t min,
                        uint64_t max) {
  if (value >= min && value <= max) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is ", value, ", not from ", min, " to ", max));
}

// `setting` is on without `needed`.
absl::Status CheckNeeds(bool setting, absl::string_view name, bool needed,
                        absl::string_view what_to_do) {
  if (!setting || needed) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, " has no effect in this model: ", what_to_do));
}

absl::Status CheckRows(const ModelSpec& spec) {
  NEUMF_RETURN_IF_ERROR(CheckRange("the number of users", spec.num_users, 1,
                                   ModelLimits::kMaxUsers));
  NEUMF_RETURN_IF_ERROR(CheckRange("the number of items", spec.num_items, 1,
                                   ModelLimits::kMaxItems));
  // Rows of a table are 32-bit numbers.
  const uint64_t history_rows = spec.has_history() ? spec.num_items : 0;
  NEUMF_RETURN_IF_ERROR(
      CheckRange("the number of users, of their features and, with --history, "
                 "of items, together,",
                 spec.num_users + spec.num_user_features + history_rows, 1,
                 ModelLimits::kMaxUsers));
  return CheckRange("the number of items and of their features, together,",
                    spec.num_items + spec.num_item_features, 1,
                    ModelLimits::kMaxItems);
}

absl::Status CheckProduct(const ModelSpec& spec) {
  const bool has_product = spec.has_product();
  NEUMF_RETURN_IF_ERROR(CheckNeeds(spec.learned_head, "a learned output weight",
                                   has_product, "give --factors"));
  NEUMF_RETURN_IF_ERROR(
      CheckNeeds(spec.cosine, "--cosine", has_product, "give --factors"));
  NEUMF_RETURN_IF_ERROR(CheckNeeds(spec.feature_interactions,
                                   "--feature_interactions", has_product,
                                   "give --factors"));
  if (spec.cosine && spec.feature_interactions) {
    return absl::InvalidArgumentError(
        "--cosine and --feature_interactions exclude each other: the products "
        "within a side are of vectors that are not normalized");
  }
  // A user's own terms take one more column of the served tables.
  const bool has_user_terms = spec.user_bias || spec.feature_interactions;
  return CheckRange("--factors", spec.factors, 0,
                    ModelLimits::kMaxWidth - (has_user_terms ? 1 : 0));
}

absl::Status CheckTower(const ModelSpec& spec) {
  if (!spec.has_tower()) {
    NEUMF_RETURN_IF_ERROR(CheckNeeds(
        spec.user_tower_factors > 0 || spec.item_tower_factors > 0,
        "--tower_factors", false, "give the widths of the layers, --hidden"));
    return CheckNeeds(spec.linear_width > 0, "--linear_width", false,
                      "give the widths of the layers, --hidden");
  }
  NEUMF_RETURN_IF_ERROR(CheckRange("the number of layers in --hidden",
                                   spec.hidden.size(), 1,
                                   ModelLimits::kMaxTowerLayers));
  for (const uint32_t width : spec.hidden) {
    NEUMF_RETURN_IF_ERROR(
        CheckRange("a width in --hidden", width, 1, ModelLimits::kMaxWidth));
  }
  NEUMF_RETURN_IF_ERROR(CheckRange("--tower_factors of users",
                                   spec.user_tower_factors, 1,
                                   ModelLimits::kMaxWidth));
  NEUMF_RETURN_IF_ERROR(CheckRange("--tower_factors of items",
                                   spec.item_tower_factors, 1,
                                   ModelLimits::kMaxWidth));
  return CheckRange("--linear_width", spec.linear_width, 0,
                    ModelLimits::kMaxWidth);
}

absl::Status CheckHistory(const ModelSpec& spec) {
  if (!spec.has_history()) return absl::OkStatus();
  NEUMF_RETURN_IF_ERROR(
      CheckRange("--history", spec.history_length, 1, kMaxHistory));
  if (std::isfinite(spec.history_decay) && spec.history_decay > 0) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--history_decay is ", spec.history_decay, ", not a number above 0"));
}

}  // namespace

absl::Status ValidateSpec(const ModelSpec& spec) {
  NEUMF_RETURN_IF_ERROR(CheckRows(spec));
  if (!spec.has_product() && !spec.has_tower()) {
    return absl::InvalidArgumentError(
        "the model has neither a product nor a tower: give --factors, or "
        "--hidden with --tower_factors");
  }
  NEUMF_RETURN_IF_ERROR(CheckProduct(spec));
  NEUMF_RETURN_IF_ERROR(CheckTower(spec));
  return CheckHistory(spec);
}

}  // namespace neumf
