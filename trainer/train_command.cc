#include "trainer/train_command.h"

#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "trainer/checkpoint_publication.h"
#include "trainer/distributed/agreement.h"
#include "trainer/distributed/torch_collective.h"
#include "trainer/epoch_curve.h"
#include "trainer/held_out_evaluation.h"
#include "trainer/outputs.h"
#include "trainer/run_identity.h"
#include "trainer/stage_runner.h"
#include "trainer/state_directory.h"
#include "trainer/torch_threads.h"

namespace neumf {
namespace {

absl::Status CheckPatience(const TrainOptions& options) {
  if (options.patience == 0) {
    return options.select_by.empty()
               ? absl::OkStatus()
               : absl::InvalidArgumentError(
                     "--select_by chooses the best epoch: give --patience");
  }
  if (options.task.held_out != "validation") {
    return absl::InvalidArgumentError(
        "--patience chooses an epoch by what is held out, which must not be "
        "the test events: give --held_out validation, then train again with "
        "the chosen --epochs");
  }
  if (options.task.split == "none") {
    return absl::InvalidArgumentError(
        "--patience needs held-out events, and --split none leaves none");
  }
  return absl::OkStatus();
}

absl::Status CheckDistributed(const TrainOptions& options) {
  if (!options.place) return absl::OkStatus();
  if (options.device == DeviceChoice::kCuda) {
    return absl::InvalidArgumentError(
        "--device cuda trains in one process: leave out WORLD_SIZE, or give "
        "--device cpu");
  }
  for (const RecipeStage& stage : options.recipe.stages) {
    if (stage.settings.loss == "ials") {
      return absl::InvalidArgumentError(
          "--loss ials solves whole tables and runs in one process: give it "
          "--threads instead of WORLD_SIZE");
    }
    if (stage.settings.batch_size >
        std::numeric_limits<uint32_t>::max() / options.place->size) {
      return absl::InvalidArgumentError(
          "--batch_size times WORLD_SIZE is too large");
    }
  }
  return absl::OkStatus();
}

// What the record in a checkpoint holds of a run: an epoch's loss is one value,
// an evaluation a point of some metrics.
constexpr uint64_t kMaxRecordValues = 100'000;
constexpr uint64_t kValuesAPoint = 10;

absl::Status CheckEpochs(const TrainOptions& options) {
  const uint32_t epochs = options.recipe.settings().epochs;
  if (options.evaluate_every > epochs) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--evaluate_every ", options.evaluate_every, " is more than the ",
        epochs, " epochs of --epochs: leave it out to measure after the last"));
  }
  uint64_t values = 0;
  for (const RecipeStage& stage : options.recipe.stages) {
    values += stage.settings.epochs;
  }
  const uint32_t every = options.evaluate_every > 0 ? options.evaluate_every
                         : options.patience > 0     ? 1
                                                    : 0;
  if (every > 0) values += kValuesAPoint * (epochs / every);
  if (values <= kMaxRecordValues) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "a checkpoint has no room for the losses and evaluations of so many "
      "epochs: lower --epochs, or give a larger --evaluate_every");
}

bool Leads(const TrainOptions& options) {
  return !options.place || options.place->rank == 0;
}

absl::Status CheckOptions(const TrainOptions& options, FileSystem& files) {
  if (options.out.empty()) {
    return absl::InvalidArgumentError(
        "--out is needed: the directory of checkpoints");
  }
  if (options.threads < 1 || options.threads > 1024) {
    return absl::InvalidArgumentError("--threads must be 1 to 1024");
  }
  NEUMF_RETURN_IF_ERROR(CheckPatience(options));
  NEUMF_RETURN_IF_ERROR(CheckDistributed(options));
  NEUMF_RETURN_IF_ERROR(ValidateRecipe(options.recipe));
  NEUMF_RETURN_IF_ERROR(CheckEpochs(options));
  if (!Leads(options)) return absl::OkStatus();  // leaves nothing behind
  NEUMF_RETURN_IF_ERROR(CheckCheckpointDirectory(files, options.out));
  NEUMF_RETURN_IF_ERROR(CheckMetricsFile(files, options.metrics_out));
  return CheckOutputFile(files, "--weights_out", options.weights_out);
}

// What of the options only the data can tell.
absl::Status CheckMeasuring(const TrainOptions& options,
                            const TrainTask& task) {
  if (!task.is_measured()) {
    const char* const flag = options.evaluate_every > 0 ? "--evaluate_every"
                             : options.drop_rated       ? "--drop_rated"
                             : options.whole_lists      ? "--whole_lists"
                                                        : nullptr;
    if (flag == nullptr) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        flag, " is about held-out events, and --split none leaves none"));
  }
  NEUMF_RETURN_IF_ERROR(
      CheckHeldOut(task.log, task.split, HeldOutOptionsOf(options, task)));
  if (options.select_by.empty()) return absl::OkStatus();
  return CheckMetricName(task.protocol, options.whole_lists, options.select_by);
}

// Without a lowest rating of positives nothing counts as rated low.
absl::Status CheckLowRatings(const TrainOptions& options,
                             const TrainTask& task) {
  if (task.split_options.min_rating) return absl::OkStatus();
  for (const RecipeStage& stage : options.recipe.stages) {
    if (stage.settings.low_ratings == LowRatings::kIgnored) continue;
    return absl::InvalidArgumentError(
        "--low_ratings positives: no event counts as rated low; give "
        "--min_rating, or --protocol triplet, which has one");
  }
  return absl::OkStatus();
}

// The sampler pool never draws what is held out, so held-out items alone are
// never pushed down: little with one negative, a lesson with many.
bool Leaks(const TrainSettings& settings, Protocol protocol) {
  const bool is_pairs = settings.batches == BatchForm::kPairs;
  const bool draws =
      settings.loss != "ials" && (is_pairs || settings.candidates > 0);
  const bool is_parity =
      protocol == Protocol::kD2l && is_pairs && settings.negatives == 1;
  return settings.sampler == SamplerKind::kPool && draws && !is_parity;
}

void WarnOfLeaks(const TrainOptions& options, const TrainTask& task) {
  if (!task.is_measured()) return;
  for (const RecipeStage& stage : options.recipe.stages) {
    if (!Leaks(stage.settings, task.protocol)) continue;
    absl::FPrintF(stderr,
                  "warning: --sampler pool never draws held-out items, which "
                  "flatters the metrics; --sampler reject does not\n");
    return;
  }
}

absl::StatusOr<std::optional<StateDirectory>> OpenStates(
    const TrainOptions& options, const TrainTask& task,
    const std::string& device, FileSystem& files) {
  if (options.state.empty() || !Leads(options)) {
    return std::optional<StateDirectory>();
  }
  NEUMF_ASSIGN_OR_RETURN(RunIdentity run, RunIdentityOf(options, task, files));
  // Another device rounds differently.
  if (device != kCpuName) run["the device"] = device;
  NEUMF_ASSIGN_OR_RETURN(
      StateDirectory states,
      StateDirectory::Open(files, options.state, std::move(run)));
  return std::optional<StateDirectory>(std::move(states));
}

// Of a run that is done: the next one begins anew.
void RemoveStates(const Recipe& recipe, StateDirectory& states) {
  for (const RecipeStage& stage : recipe.stages) {
    const absl::Status removed = states.Remove(stage.name);
    if (removed.ok()) continue;
    absl::FPrintF(stderr,
                  "warning: the state of a run that is done stays: %s\n",
                  removed.message());
  }
}

absl::StatusOr<std::string> TrainAndPublish(
    const TrainOptions& options, const TrainTask& task,
    const CommandEnvironment& environment) {
  NEUMF_ASSIGN_OR_RETURN(StageRunner runner,
                         StageRunner::Create(options, task, environment));
  NEUMF_ASSIGN_OR_RETURN(
      std::optional<StateDirectory> states,
      OpenStates(options, task, runner.device_name(), *environment.files));
  CheckpointPublication publication(options, task, environment);
  NEUMF_ASSIGN_OR_RETURN(
      TrainedStages trained,
      runner.Run(
          [&](const StageInputs& inputs, const Parameters& parameters) {
            return publication.MeasureEpoch(inputs, parameters);
          },
          states ? &*states : nullptr));
  Collective* const collective = environment.collective;
  if (collective != nullptr && !collective->leads()) {
    NEUMF_RETURN_IF_ERROR(ShareStatus(absl::OkStatus(), *collective));
    return "";
  }
  const bool is_complete = trained.is_complete;
  absl::StatusOr<std::string> path = publication.Publish(std::move(trained));
  if (collective != nullptr) {
    NEUMF_RETURN_IF_ERROR(ShareStatus(path.status(), *collective));
  }
  if (path.ok() && states && is_complete) {
    RemoveStates(options.recipe, *states);
  }
  return path;
}

}  // namespace

absl::StatusOr<std::string> Train(const TrainOptions& options,
                                  const CommandEnvironment& environment) {
  FileSystem& files = *environment.files;
  NEUMF_RETURN_IF_ERROR(CheckOptions(options, files));
  SetTorchThreads(options.threads);
  std::unique_ptr<Collective> collective;
  if (options.place) {
    NEUMF_ASSIGN_OR_RETURN(collective, JoinProcesses(*options.place));
  }
  NEUMF_ASSIGN_OR_RETURN(const TrainTask task,
                         PrepareTask(options.task, files));
  NEUMF_RETURN_IF_ERROR(CheckMeasuring(options, task));
  NEUMF_RETURN_IF_ERROR(CheckLowRatings(options, task));
  if (Leads(options)) WarnOfLeaks(options, task);
  if (collective == nullptr) {
    return TrainAndPublish(options, task, environment);
  }
  CommandEnvironment shared = environment;
  shared.collective = collective.get();
  NEUMF_ASSIGN_OR_RETURN(const RunIdentity run,
                         RunIdentityOf(options, task, files));
  NEUMF_RETURN_IF_ERROR(CheckSameRun(run, *collective));
  return TrainAndPublish(options, task, shared);
}

}  // namespace neumf
