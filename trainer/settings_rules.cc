#include "trainer/settings_rules.h"

#include <initializer_list>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "trainer/settings_parts.h"

namespace neumf {
namespace {

using Settings = TrainSettings;

bool LossIs(const Settings& s, std::initializer_list<absl::string_view> names) {
  for (absl::string_view name : names) {
    if (s.loss == name) return true;
  }
  return false;
}

bool IsIals(const Settings& s) { return s.loss == kIals; }

bool IsPairs(const Settings& s) { return s.batches == BatchForm::kPairs; }

bool HasTower(const Settings& s) { return !s.hidden.empty(); }

bool HasFeatures(const Settings& s) {
  return !s.user_features.empty() || !s.item_features.empty();
}

bool IsAdam(const Settings& s) {
  return s.optimizer == OptimizerKind::kAdam ||
         s.optimizer == OptimizerKind::kAdamW;
}

bool IsPretrained(const Settings& s) {
  return !s.pretrained_gmf.empty() || !s.pretrained_mlp.empty();
}

// Where a setting is no use whatever its value.
struct Use {
  absl::string_view name;
  bool (*is_read)(const Settings& s);
  absl::string_view where;
  // Refused with its default's value too: that value means something that will
  // not happen.
  bool is_a_wish = false;
};

// Settings that are not here are always read.
constexpr Use kUses[] = {
    {"factors",
     [](const Settings& s) {
       return HasProduct(s.model) || s.tower_factors.empty();
     },
     "models with a product, or a tower without --tower_factors"},
    {"tower_factors", HasTower, "a tower, that is --hidden"},
    {"activation", HasTower, "a tower, that is --hidden"},
    {"linear_width", HasTower, "a tower, that is --hidden"},
    {"dropout", HasTower, "a tower, that is --hidden"},
    {"similarity", [](const Settings& s) { return HasProduct(s.model); },
     "models with a product"},
    {"gmf_head", [](const Settings& s) { return HasProduct(s.model); },
     "models with a product"},
    {"history_decay", [](const Settings& s) { return s.history > 0; },
     "--history"},
    {"margin",
     [](const Settings& s) {
       return LossIs(s, {"hinge", "warp", "ccl"});
     },
     "--loss hinge, warp and ccl"},
    {"temperature", [](const Settings& s) { return LossIs(s, {"softmax"}); },
     "--loss softmax"},
    {"negative_weight",
     [](const Settings& s) {
       return LossIs(s, {"bce", "gbce", "square", "ccl", "ials"});
     },
     "--loss bce, gbce, square, ccl and ials"},
    {"calibration", [](const Settings& s) { return LossIs(s, {"gbce"}); },
     "--loss gbce"},
    {"hard_negatives",
     [](const Settings& s) {
       return IsPairs(s) && !LossIs(s, {"warp", "ials"});
     },
     "--batches pairs, with losses other than warp"},
    {"log_q",
     [](const Settings& s) { return LossIs(s, {"softmax"}) && IsPairs(s); },
     "--loss softmax with --batches pairs"},
    {"reduction", [](const Settings& s) { return !IsIals(s); },
     "losses other than ials"},
    {"batches", [](const Settings& s) { return !IsIals(s); },
     "losses other than ials"},
    {"batch_size", [](const Settings& s) { return !IsIals(s); },
     "losses other than ials"},
    {"sampler", Draws, "--batches pairs, or --candidates"},
    {"negatives", [](const Settings& s) { return IsPairs(s) && !IsIals(s); },
     "--batches pairs"},
    {"candidates", [](const Settings& s) { return !IsPairs(s) && !IsIals(s); },
     "--batches events and users"},
    {"popularity_power",
     [](const Settings& s) {
       return Draws(s) && s.sampler == SamplerKind::kPopularity;
     },
     "--sampler popularity"},
    {"targets",
     [](const Settings& s) { return s.batches == BatchForm::kEvents; },
     "--batches events"},
    {"target_decay", [](const Settings& s) { return s.targets > 1; },
     "--targets above 1"},
    {"recency", [](const Settings& s) { return !IsPairs(s) && !IsIals(s); },
     "--batches events and users"},
    {"optimizer", [](const Settings& s) { return !IsIals(s); },
     "losses other than ials"},
    {"updates", [](const Settings& s) { return !IsIals(s); },
     "losses other than ials"},
    {"learning_rate", [](const Settings& s) { return !IsIals(s); },
     "losses other than ials"},
    {"schedule", [](const Settings& s) { return !IsIals(s); },
     "losses other than ials"},
    {"momentum",
     [](const Settings& s) {
       return !IsIals(s) && (s.optimizer == OptimizerKind::kSgd ||
                             s.optimizer == OptimizerKind::kRmsprop);
     },
     "--optimizer sgd and rmsprop"},
    {"beta1", [](const Settings& s) { return !IsIals(s) && IsAdam(s); },
     "--optimizer adam and adamw"},
    {"beta2",
     [](const Settings& s) {
       return !IsIals(s) &&
              (IsAdam(s) || s.optimizer == OptimizerKind::kRmsprop);
     },
     "--optimizer rmsprop, adam and adamw"},
    {"epsilon",
     [](const Settings& s) {
       return !IsIals(s) && s.optimizer != OptimizerKind::kSgd;
     },
     "--optimizer adagrad, rmsprop, adam and adamw"},
    {"weight_decay", [](const Settings& s) { return !IsIals(s); },
     "losses other than ials, which takes --l2"},
    {"l2_negative", [](const Settings& s) { return IsPairs(s) && !IsIals(s); },
     "--batches pairs"},
    {"bias_start",
     [](const Settings& s) {
       const auto spec = SpecOf(s, 1, 1);
       return spec.ok() && spec->item_bias;
     },
     "--biases item and all"},
    {"alpha",
     [](const Settings& s) {
       return !s.pretrained_gmf.empty() && !s.pretrained_mlp.empty();
     },
     "--pretrained_gmf and --pretrained_mlp together", /*is_a_wish=*/true},
};

// What cannot be meant, and what to do.
struct Contradiction {
  bool (*holds)(const Settings& s);
  absl::string_view advice;
};

constexpr Contradiction kOfTheModel[] = {
    {[](const Settings& s) { return !AllowsTower(s.model) && HasTower(s); },
     "--hidden: this --model has no tower; take mlp, neumf or deep-triplet, or "
     "--hidden none"},
    {[](const Settings& s) { return !HasProduct(s.model) && !HasTower(s); },
     "--hidden none leaves this --model without anything: give the widths of "
     "its layers"},
    {[](const Settings& s) {
       return s.model == ModelKind::kFm && !HasFeatures(s);
     },
     "--model fm needs features: give --user_features, --item_features or "
     "both, or take --model mf"},
    {[](const Settings& s) {
       return s.model == ModelKind::kFm && s.similarity == "cosine";
     },
     "--model fm is of dot products: leave out --similarity cosine"},
    {[](const Settings& s) { return IsIals(s) && IsPretrained(s); },
     "--loss ials begins anew: it takes no pretrained weights"},
    {[](const Settings& s) {
       return s.alpha != Settings().alpha &&
              (s.pretrained_gmf.empty() || s.pretrained_mlp.empty());
     },
     "--alpha weighs pretrained parts: give --pretrained_gmf and "
     "--pretrained_mlp"},
};

bool IsPlainProduct(const Settings& s) {
  const auto spec = SpecOf(s, 1, 1);
  return s.model == ModelKind::kMf && spec.ok() && !spec->cosine &&
         !spec->learned_head && !spec->global_bias && !spec->has_history() &&
         !HasFeatures(s);
}

constexpr Contradiction kOfIals[] = {
    {[](const Settings& s) { return !IsPlainProduct(s); },
     "--loss ials solves a plain product: take --model mf --biases none, "
     "without --history, features, --similarity cosine or --gmf_head learned"},
};

constexpr Contradiction kOfTheLoss[] = {
    {[](const Settings& s) {
       return !IsPairs(s) && !LossIs(s, {"softmax", "bce", "square"});
     },
     "--batches events and users are for --loss softmax, bce and square: for "
     "the others take --batches pairs"},
    {[](const Settings& s) {
       return LossIs(s, {"warp"}) && s.hard_negatives > 0;
     },
     "--hard_negatives: --loss warp goes by the order of its draws; leave it "
     "out, or take another loss"},
    {[](const Settings& s) {
       return LossIs(s, {"warp"}) && s.sampler == SamplerKind::kPopularity;
     },
     "--loss warp estimates a rank from uniform draws: take --sampler reject "
     "or uniform"},
    {[](const Settings& s) { return s.log_q && !LossIs(s, {"softmax"}); },
     "--log_q corrects --loss softmax, no other"},
    {[](const Settings& s) { return s.log_q && !IsPairs(s); },
     "--log_q knows how likely the sampler is to draw an item, but the "
     "candidates of --batches events and users hold the batch's targets too: "
     "take --batches pairs, or leave it out"},
    {[](const Settings& s) {
       const auto spec = SpecOf(s, 1, 1);
       return LossIs(s, {"ccl"}) && spec.ok() && !spec->cosine;
     },
     "--loss ccl is of cosines: take --similarity cosine"},
    {[](const Settings& s) { return LossIs(s, {"ccl"}) && s.margin >= 1; },
     "--loss ccl pushes no negative down unless --margin is below 1, which no "
     "cosine exceeds: take .5 to .9"},
};

constexpr Contradiction kOfTheBatches[] = {
    {[](const Settings& s) { return !IsPairs(s) && s.hard_negatives > 0; },
     "--hard_negatives chooses among the negatives of a pair: take --batches "
     "pairs"},
    {[](const Settings& s) { return s.hard_negatives > s.negatives; },
     "--hard_negatives are chosen among --negatives: give at least as many"},
    {[](const Settings& s) {
       return s.batches == BatchForm::kUsers && s.history > 0;
     },
     "--batches users knows no order, which --history needs: take --batches "
     "events or pairs"},
    {[](const Settings& s) {
       return s.batches != BatchForm::kEvents && s.targets > 1;
     },
     "--targets is for --batches events"},
    {[](const Settings& s) { return IsPairs(s) && s.recency > 0; },
     "--recency weighs targets: take --batches events or users"},
};

absl::Status Refuse(absl::Span<const Contradiction> contradictions,
                    const Settings& settings) {
  for (const Contradiction& contradiction : contradictions) {
    if (contradiction.holds(settings)) {
      return absl::InvalidArgumentError(contradiction.advice);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateSettings(const TrainSettings& settings) {
  NEUMF_RETURN_IF_ERROR(Refuse(kOfTheModel, settings));
  NEUMF_ASSIGN_OR_RETURN(const ModelSpec spec, SpecOf(settings, 1, 1));
  NEUMF_RETURN_IF_ERROR(ValidateSpec(spec));
  if (IsIals(settings)) return Refuse(kOfIals, settings);
  NEUMF_RETURN_IF_ERROR(Refuse(kOfTheLoss, settings));
  NEUMF_RETURN_IF_ERROR(Refuse(kOfTheBatches, settings));
  NEUMF_RETURN_IF_ERROR(ValidateLossOptions(LossOptionsOf(settings, 1)));
  return ValidateOptimizerOptions(OptimizerOptionsOf(settings));
}

absl::Status CheckGivenSettings(absl::Span<const std::string> given,
                                const TrainSettings& settings) {
  const TrainSettings defaults;
  for (const std::string& name : given) {
    for (const Use& use : kUses) {
      if (use.name != name || use.is_read(settings)) continue;
      const bool is_default =
          SettingText(name, settings) == SettingText(name, defaults);
      if (is_default && !use.is_a_wish) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          "--", name, " would change nothing: it is for ", use.where));
    }
  }
  return absl::OkStatus();
}

}  // namespace neumf
