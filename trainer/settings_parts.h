#pragma once

// What the settings say to each part of training.

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trainer/model/model_spec.h"
#include "trainer/settings.h"
#include "trainer/step/batch_maker.h"
#include "trainer/step/group_loss.h"
#include "trainer/step/negative_sampler.h"
#include "trainer/step/optimizer.h"

namespace neumf {

// Whether models of the kind may have a tower, and whether they have a product.
bool AllowsTower(ModelKind kind);
bool HasProduct(ModelKind kind);

// Whether the loss is about probabilities or values, so that terms that move
// all scores of a user matter.
bool IsPointwise(const TrainSettings& settings);

// Of the tower's embeddings.
struct TowerWidths {
  uint32_t user = 0;
  uint32_t item = 0;
};
// "32", or "32/64" for user/item.
absl::StatusOr<TowerWidths> ParseTowerFactors(absl::string_view text);

// Whether negatives or shared candidates are drawn.
bool Draws(const TrainSettings& settings);

// The function that the settings ask for, before features are known.
absl::StatusOr<ModelSpec> SpecOf(const TrainSettings& settings,
                                 uint64_t num_users, uint64_t num_items);

// REQUIRES (all): ValidateSettings() of settings_rules.h is OK. LossOptionsOf():
// the loss is not ials.
LossOptions LossOptionsOf(const TrainSettings& settings, uint64_t num_items);
OptimizerOptions OptimizerOptionsOf(const TrainSettings& settings);
BatchOptions BatchOptionsOf(const TrainSettings& settings, uint64_t seed);
SamplerOptions SamplerOptionsOf(const TrainSettings& settings, uint64_t seed);

}  // namespace neumf
