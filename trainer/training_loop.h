#pragma once

// Trains NeuMF with BPR: each epoch sees every train pair once, in random
// order, each with one freshly drawn negative.

#include <atomic>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "data/interactions.h"
#include "trainer/negative_sampler.h"
#include "trainer/neumf_parameters.h"
#include "trainer/recipes.h"

namespace neumf {

// How far training is, told after every batch.
struct TrainingProgress {
  uint32_t epoch = 0;  // 1 is the first
  uint32_t num_epochs = 0;
  uint64_t examples_done = 0;   // of this epoch
  uint64_t epoch_examples = 0;  // train pairs
  double mean_loss = 0;         // a pair, of this epoch so far
  absl::Duration elapsed;       // since training began

  bool epoch_done() const { return examples_done == epoch_examples; }
};
using ProgressCallback = absl::FunctionRef<void(const TrainingProgress&)>;

struct TrainedModel {
  NeuMfParameters parameters;
  std::vector<double> epoch_losses;  // mean a pair; one an epoch that was done
  uint64_t num_examples = 0;         // train pairs seen, over all epochs
  absl::Duration duration;
};

struct TrainingEnvironment {
  const Clock* clock = nullptr;
  // When it becomes true training stops at the end of the epoch. May be null.
  const std::atomic<bool>* stop = nullptr;
};

// The same seed, settings, data and number of LibTorch's threads give the same
// parameters. INVALID_ARGUMENT when there is no train pair, or when the loss
// stops being finite, which the learning rate causes. CANCELLED when `stop` was
// true before the first epoch.
// REQUIRES: ValidateSettings(settings) is OK.
absl::StatusOr<TrainedModel> TrainNeuMf(const TrainSettings& settings,
                                        uint64_t seed,
                                        const Interactions& train,
                                        const PoolSampler& sampler,
                                        const TrainingEnvironment& environment,
                                        ProgressCallback progress);

}  // namespace neumf
