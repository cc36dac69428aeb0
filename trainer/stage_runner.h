#pragma once

// Trains the stages of a recipe, one after another.
//
//   NEUMF_ASSIGN_OR_RETURN(StageRunner runner,
//                          StageRunner::Create(options, task, environment));
//   NEUMF_ASSIGN_OR_RETURN(const TrainedStages trained,
//                          runner.Run(measure, nullptr));

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "eval/evaluation.h"
#include "nlohmann/json.hpp"
#include "trainer/device_choice.h"
#include "trainer/epoch_curve.h"
#include "trainer/model/parameters.h"
#include "trainer/model_training.h"
#include "trainer/recipes.h"
#include "trainer/stage_inputs.h"
#include "trainer/state_directory.h"
#include "trainer/train_command.h"
#include "trainer/train_task.h"

namespace neumf {

struct TrainedStages {
  // Of the last stage.
  const StageInputs* inputs;  // the runner's
  Parameters parameters;
  // Its held-out metrics by epoch, "curve" and "best_epoch"; an empty object
  // without them.
  nlohmann::json curve;

  // Of all stages: [{"stage", "settings", "epochs_done", "losses"}].
  nlohmann::json stages;
  std::string device;       // kCpuName, or the name of a GPU
  absl::Duration duration;  // of training alone
  uint64_t num_examples = 0;
  // Whether every stage came to its own end, and was not stopped by a signal.
  bool is_complete = true;
};

// The seed of a stage that has `num_later` stages behind it. The last one's is
// the run's, as that of a recipe with one stage is; those before it have seeds
// of their own, so that no two of a run begin alike.
uint64_t StageSeed(uint64_t seed, size_t num_later);

// Belongs to one thread.
class StageRunner {
 public:
  // The held-out metrics of a stage's parameters.
  using Measure = absl::FunctionRef<absl::StatusOr<Evaluation>(
      const StageInputs& inputs, const Parameters& parameters)>;

  // Reads what the stages name, features and pretrained weights, and tries each
  // start, so that nothing is trained before the last stage is known to fit.
  // INVALID_ARGUMENT for weights of other users and items, and for weights that
  // were trained on what this run holds out. Chooses the device, and says which
  // on stderr: its errors are those of ChooseDevice(). All three must outlive it.
  static absl::StatusOr<StageRunner> Create(
      const TrainOptions& options, const TrainTask& task,
      const CommandEnvironment& environment);

  // Call it once. Says its progress on stderr. `states` keeps what is trained
  // and says where to go on; may be null. A state that cannot be written is a
  // warning: the run is worth more than its insurance. One that cannot be gone
  // on with ends the run before anything is trained. INVALID_ARGUMENT when a
  // stage's loss has grown out of all proportion.
  absl::StatusOr<TrainedStages> Run(Measure measure, StateDirectory* states);

  // kCpuName, or the name of the GPU that trains.
  std::string device_name() const { return device_.name(); }

 private:
  struct Stage {
    const RecipeStage* recipe;
    std::unique_ptr<const StageInputs> inputs;
  };

  StageRunner(const TrainOptions& options,
              const CommandEnvironment& environment)
      : options_(&options), environment_(&environment) {}

  absl::Status Add(const RecipeStage& recipe, const TrainTask& task);
  absl::Status ChooseDevice();
  absl::Status ReadWeightsOnce(absl::string_view flag, const std::string& name,
                               const TrainTask& task);
  absl::StatusOr<Parameters> StartOf(const Stage& stage) const;
  uint64_t SeedOf(const Stage& stage) const;
  absl::StatusOr<std::optional<TrainingState>> StateOf(
      const Stage& stage, StateDirectory* states) const;
  absl::Status Train(const Stage& stage, EpochCurve& curve,
                     StateDirectory* states, TrainedStages* trained);
  absl::StatusOr<TrainedModel> TrainFrom(
      const Stage& stage, const std::optional<TrainingState>& state,
      EpochCurve& curve, StateDirectory* states);
  bool Speaks() const;  // of several processes one does
  CurveOptions CurveOptionsOf(const Stage& stage) const;

  const TrainOptions* options_;
  const CommandEnvironment* environment_;
  bool is_measured_ = false;
  ChosenDevice device_;
  std::vector<Stage> stages_;
  // By the text that names them in a setting: a file, or @stage. Those of a
  // stage are zero until it is done.
  std::map<std::string, Parameters> weights_;
};

}  // namespace neumf
