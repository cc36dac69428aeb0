#pragma once

// All settings of a training run, each with the name that flags, recipes and
// the metrics file share.
//
// One table (settings.cc) says for each how it is read and printed, another one
// (settings_rules.cc) what it is for, so that a new setting is a field here, a
// line there and a flag in setting_flags.cc.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trainer/model/model_spec.h"
#include "trainer/model/parameters.h"
#include "trainer/step/batch_maker.h"
#include "trainer/step/group_loss.h"
#include "trainer/step/negative_sampler.h"
#include "trainer/step/optimizer.h"

namespace neumf {

enum class ModelKind {
  kMf,
  kGmf,
  kMlp,
  kNeuMf,
  kBilinearTriplet,
  kDeepTriplet,
  kFm
};
enum class BiasStart { kZero, kPopularity };
// Events that were rated too low to be positives.
enum class LowRatings { kIgnored, kPositives };
enum class Reduction { kMean, kSum };

// The loss that is no GroupLoss: see ials.h.
inline constexpr char kIals[] = "ials";

struct TrainSettings {
  // The model. The kind sets what the others leave open.
  ModelKind model = ModelKind::kNeuMf;
  uint32_t factors = 8;
  std::string tower_factors;     // "32", or "32/64" for user/item; "": factors
  std::vector<uint32_t> hidden;  // empty: the tower is off
  Activation activation = Activation::kRelu;
  uint32_t linear_width = 0;
  std::string similarity;  // "dot", "cosine"; "": the model's
  std::string gmf_head;    // "learned", "ones"; "": the model's
  std::string biases;      // "none", "output", "item", "all"; "": the model's
  std::string user_features;  // files; "": none
  std::string item_features;
  uint32_t history = 0;
  double history_decay = 5;

  // What it learns from.
  LowRatings low_ratings = LowRatings::kIgnored;
  std::string loss = "bpr";  // a GroupLoss's name, or ials
  double margin = 1;
  double temperature = 1;
  double negative_weight = 1;
  double calibration = 0.75;
  uint32_t hard_negatives = 0;
  bool log_q = false;
  Reduction reduction = Reduction::kMean;
  BatchForm batches = BatchForm::kPairs;
  uint32_t batch_size = 1024;
  SamplerKind sampler = SamplerKind::kReject;
  uint32_t negatives = 1;
  uint32_t candidates = 0;
  double popularity_power = 0.75;
  uint32_t targets = 1;
  double target_decay = 5;
  double recency = 0;

  // How.
  uint32_t epochs = 10;
  OptimizerKind optimizer = OptimizerKind::kAdam;
  Updates updates = Updates::kDense;
  double learning_rate = 1e-3;
  std::string schedule = "constant";  // see step/schedule.h
  double momentum = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
  double l2 = 0;
  double l2_negative = 0;
  double dropout = 0;
  Initialization initialization = Initialization::kD2l;
  double embedding_scale = 0;
  BiasStart bias_start = BiasStart::kZero;

  // Weights to begin with: files that --weights_out wrote, or earlier stages of
  // a recipe.
  std::string pretrained_gmf;
  std::string pretrained_mlp;
  double alpha = 0.5;
};

// The names of all settings, in the order in which they are printed.
std::vector<std::string> SettingNames();

// INVALID_ARGUMENT for a name that there is not, or a text that the setting does
// not take: says which, and what it takes.
absl::Status SetSetting(absl::string_view name, absl::string_view text,
                        TrainSettings* settings);
// As SetSetting() reads it.
std::string SettingText(absl::string_view name, const TrainSettings& settings);

}  // namespace neumf
