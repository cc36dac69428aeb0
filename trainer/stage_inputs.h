#pragma once

// What one stage of a recipe trains from: the task's data with the features
// that the stage's settings name, and the model that follows from both. All
// that can be wrong with it shows here, before anything is trained.

#include <memory>

#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "trainer/model/bags.h"
#include "trainer/model/model_spec.h"
#include "trainer/model_training.h"
#include "trainer/settings.h"
#include "trainer/train_task.h"

namespace neumf {

// Immutable. It neither moves nor is copied, as its parts point to each other;
// `task` must outlive it.
class StageInputs {
 public:
  // INVALID_ARGUMENT for features that cannot be read or lack rows, for settings
  // that need an order of events which the data does not say, for a user who
  // has all items where negatives are drawn, and for a model that is too large.
  static absl::StatusOr<std::unique_ptr<const StageInputs>> Create(
      const TrainSettings& settings, const TrainTask& task, FileSystem& files);

  StageInputs(const StageInputs&) = delete;
  StageInputs& operator=(const StageInputs&) = delete;

  const TrainingData& data() const { return data_; }
  const ModelSpec& spec() const { return spec_; }
  const ItemBags& item_bags() const { return item_bags_; }
  const UserBags& user_bags() const { return user_bags_; }

 private:
  StageInputs(const TrainSettings& settings, const TrainTask& task,
              std::unique_ptr<TaskFeatures> features, const ModelSpec& spec);
  TrainingData DataOf(const TrainTask& task) const;

  // What is learned from instead of the task's train events.
  struct Exposures {
    Interactions train;
    ItemSequences sequences;
  };

  const std::unique_ptr<const TaskFeatures> features_;
  const std::unique_ptr<const Exposures> exposures_;  // null: the task's
  const TrainingData data_;
  const ModelSpec spec_;
  const ItemBags item_bags_;
  const UserBags user_bags_;
};

}  // namespace neumf
