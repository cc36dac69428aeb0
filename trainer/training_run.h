#pragma once

// What all ways of training share: the clock, the epochs, who is told, where a
// run goes on. Each gives it a function that trains an epoch.

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "trainer/model_training.h"
#include "trainer/training_progress.h"

namespace neumf {

// Belongs to one thread.
class TrainingRun {
 public:
  // What a way of training keeps from epoch to epoch besides the parameters.
  using AddToState = absl::FunctionRef<void(TrainingState* state)>;

  // `environment` and what the callbacks refer to must outlive it, and so must
  // the state that it starts from.
  TrainingRun(uint32_t num_epochs, TrainingStart start,
              const TrainingEnvironment& environment, ProgressCallback progress,
              EpochCallback epoch_done);

  Parameters& parameters() { return model_.parameters; }
  // That training goes on from; may be null.
  const TrainingState* state() const { return state_; }

  // Calls train_epoch(epoch) for each epoch until they are done or somebody
  // ends it. It returns the epoch's mean loss and tells its progress.
  absl::StatusOr<TrainedModel> Train(
      absl::FunctionRef<absl::StatusOr<double>(uint32_t epoch)> train_epoch,
      AddToState add_to_state);

  // `done` of an epoch's `total` examples.
  void Tell(uint32_t epoch, uint64_t done, uint64_t total, double mean_loss);

 private:
  // Whether training goes on; the same in all processes.
  absl::StatusOr<bool> EndEpoch(uint32_t epoch, AddToState add_to_state);
  absl::StatusOr<bool> TellOfEpoch(uint32_t epoch, AddToState add_to_state);

  const uint32_t num_epochs_;
  const TrainingEnvironment& environment_;
  const ProgressCallback progress_;
  const EpochCallback epoch_done_;
  const TrainingState* const state_;
  TrainedModel model_;
  absl::Duration start_;  // of the epoch
};

}  // namespace neumf
