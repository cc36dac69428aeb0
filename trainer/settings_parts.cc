#include "trainer/settings_parts.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

std::string BiasesOf(const TrainSettings& settings) {
  if (!settings.biases.empty()) return settings.biases;
  switch (settings.model) {
    case ModelKind::kMf:
    case ModelKind::kFm:
      return "all";
    case ModelKind::kBilinearTriplet:
      return "none";
    default:
      return "output";
  }
}

bool IsCosine(const TrainSettings& settings) {
  return settings.similarity.empty()
             ? settings.model == ModelKind::kBilinearTriplet
             : settings.similarity == "cosine";
}

// With ones the weights are part of the items' embeddings: the same functions,
// but a penalty on embeddings is one on the product.
bool HasLearnedHead(const TrainSettings& settings) {
  if (!settings.gmf_head.empty()) return settings.gmf_head == "learned";
  return settings.model == ModelKind::kGmf ||
         settings.model == ModelKind::kNeuMf;
}

}  // namespace

absl::StatusOr<TowerWidths> ParseTowerFactors(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '/');
  TowerWidths widths;
  if (parts.size() > 2 || !absl::SimpleAtoi(parts.front(), &widths.user) ||
      !absl::SimpleAtoi(parts.back(), &widths.item) || widths.user == 0 ||
      widths.item == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--tower_factors takes a width, or two as users/items like 32/64, not "
        "'",
        text, "'"));
  }
  return widths;
}

bool AllowsTower(ModelKind kind) {
  return kind == ModelKind::kMlp || kind == ModelKind::kNeuMf ||
         kind == ModelKind::kDeepTriplet;
}

bool HasProduct(ModelKind kind) {
  return kind != ModelKind::kMlp && kind != ModelKind::kDeepTriplet;
}

bool IsPointwise(const TrainSettings& settings) {
  return settings.loss == "bce" || settings.loss == "gbce" ||
         settings.loss == "square";
}

absl::StatusOr<ModelSpec> SpecOf(const TrainSettings& settings,
                                 uint64_t num_users, uint64_t num_items) {
  ModelSpec spec;
  spec.num_users = num_users;
  spec.num_items = num_items;
  if (HasProduct(settings.model)) {
    spec.factors = settings.factors;
    spec.cosine = IsCosine(settings);
    spec.learned_head = HasLearnedHead(settings);
  }
  if (!settings.hidden.empty()) {
    const std::string text = settings.tower_factors.empty()
                                 ? absl::StrCat(settings.factors)
                                 : settings.tower_factors;
    NEUMF_ASSIGN_OR_RETURN(const TowerWidths widths, ParseTowerFactors(text));
    spec.user_tower_factors = widths.user;
    spec.item_tower_factors = widths.item;
    spec.hidden = settings.hidden;
    spec.activation = settings.activation;
    spec.linear_width = settings.linear_width;
  }
  const std::string biases = BiasesOf(settings);
  spec.global_bias = biases != "none";
  spec.item_bias = biases == "item" || biases == "all";
  // It moves no ranking, so only a pointwise loss learns it.
  spec.user_bias = biases == "all" && IsPointwise(settings);
  spec.feature_interactions = settings.model == ModelKind::kFm;
  spec.history_length = settings.history;
  spec.history_decay = settings.history_decay;
  return spec;
}

bool Draws(const TrainSettings& settings) {
  return settings.loss != kIals &&
         (settings.batches == BatchForm::kPairs || settings.candidates > 0);
}

LossOptions LossOptionsOf(const TrainSettings& settings, uint64_t num_items) {
  LossOptions options;
  options.kind = *ParseLossKind(settings.loss);
  options.margin = settings.margin;
  options.temperature = settings.temperature;
  options.negative_weight = settings.negative_weight;
  options.calibration = settings.calibration;
  options.hard_negatives = settings.hard_negatives;
  options.num_items = num_items;
  return options;
}

OptimizerOptions OptimizerOptionsOf(const TrainSettings& settings) {
  OptimizerOptions options;
  options.kind = settings.optimizer;
  options.updates = settings.updates;
  options.learning_rate = settings.learning_rate;
  options.momentum = settings.momentum;
  options.beta1 = settings.beta1;
  options.beta2 = settings.beta2;
  options.epsilon = settings.epsilon;
  options.weight_decay = settings.weight_decay;
  return options;
}

BatchOptions BatchOptionsOf(const TrainSettings& settings, uint64_t seed) {
  BatchOptions options;
  options.form = settings.batches;
  options.batch_size = settings.batch_size;
  options.num_negatives = settings.negatives;
  options.num_candidates = settings.candidates;
  options.num_targets = settings.targets;
  options.target_decay = settings.target_decay;
  options.recency = settings.recency;
  options.seed = seed;
  return options;
}

SamplerOptions SamplerOptionsOf(const TrainSettings& settings, uint64_t seed) {
  SamplerOptions options;
  options.kind = settings.sampler;
  options.popularity_power = settings.popularity_power;
  options.seed = seed;
  return options;
}

}  // namespace neumf
