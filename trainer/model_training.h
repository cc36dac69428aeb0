#pragma once

// Trains a model: settings and data in, parameters out.

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "data/features.h"
#include "data/interactions.h"
#include "data/item_sequences.h"
#include "trainer/cuda/step_plan.h"
#include "trainer/cuda/training_device.h"
#include "trainer/distributed/collective.h"
#include "trainer/model/bags.h"
#include "trainer/model/parameters.h"
#include "trainer/settings.h"
#include "trainer/training_progress.h"
#include "trainer/training_state.h"

namespace neumf {

// What is learned from. Owns none of it.
struct TrainingData {
  const Interactions* train = nullptr;
  const ItemSequences* sequences = nullptr;  // the same, in time order
  absl::Span<const Event> held_out;          // what the sampler pool leaves out
  const FeatureTable* user_features = nullptr;  // null: none
  const FeatureTable* item_features = nullptr;
};

struct TrainedModel {
  Parameters parameters;
  std::vector<double> epoch_losses;  // mean a group; one an epoch that was done
  uint64_t num_examples = 0;         // seen over all epochs
  absl::Duration duration;           // of training alone
};

// Where training stands between two epochs.
struct EpochEnd {
  uint32_t epoch = 0;  // that is done; 0: before the first
  const Parameters& parameters;
  // What training needs to go on from here: all of TrainingState but the run
  // and the curve. A copy.
  absl::FunctionRef<TrainingState()> state;
};
// Called before the first epoch that is trained and after each. False ends
// training.
using EpochCallback =
    absl::FunctionRef<absl::StatusOr<bool>(const EpochEnd& end)>;

struct TrainingEnvironment {
  const Clock* clock = nullptr;
  size_t num_threads = 1;
  // When it becomes true training stops at the end of the epoch. May be null.
  const std::atomic<bool>* stop = nullptr;
  // The processes that this one trains together with; null: none. They share
  // each batch, which is as many times the batch size as there are processes,
  // and end with the same parameters. Process 0's epoch callback is the only one
  // that is called, and its start's state the one that counts; `stop` counts in
  // any.
  Collective* collective = nullptr;
  // What trains in this machine's place; null: its threads do. Only without
  // other processes.
  TrainingDevice* device = nullptr;
  // Else: the device of LibTorch's that computes gradients, "cuda"; empty: the
  // threads do.
  std::string torch_device;
};

// What a device would train. REQUIRES: a loss that is not ials; the spec is that
// of the settings.
absl::StatusOr<StepPlan> StepPlanOf(const TrainSettings& settings,
                                    uint64_t seed, const ModelSpec& spec);

// The function that `settings` and the data's features give.
absl::StatusOr<ModelSpec> SpecOf(const TrainSettings& settings,
                                 const TrainingData& data);

// What training begins with.
struct TrainingStart {
  Parameters parameters;
  // Where a run of the same settings, seed, data and number of threads was cut
  // off, to go on from instead; null: none.
  const TrainingState* state = nullptr;
};

// The same settings, seed, data and number of threads give the same parameters,
// and so does a run that goes on after any of its epochs. INVALID_ARGUMENT when
// there is no train event, or when the loss stops being finite. CANCELLED when
// `stop` was true before the first epoch was done. UNAVAILABLE or
// RESOURCE_EXHAUSTED as the device is.
// REQUIRES: ValidateSettings(settings) is OK; the state is of these parameters;
// loss ials only without other processes; a device has checked StepPlanOf().
absl::StatusOr<TrainedModel> TrainModel(const TrainSettings& settings,
                                        uint64_t seed, const TrainingData& data,
                                        TrainingStart start,
                                        const TrainingEnvironment& environment,
                                        ProgressCallback progress,
                                        EpochCallback epoch_done);

// Random weights, and biases as the settings want them.
Parameters InitialParameters(const ModelSpec& spec,
                             const TrainSettings& settings, uint64_t seed,
                             const TrainingData& data);

}  // namespace neumf
