#include "trainer/train_command.h"

#include <unistd.h>

#include <cstdio>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint_writer.h"
#include "data/split.h"
#include "nlohmann/json.hpp"
#include "trainer/export_model.h"
#include "trainer/held_out_evaluation.h"
#include "trainer/neumf_module.h"
#include "trainer/outputs.h"
#include "trainer/progress_printer.h"

namespace neumf {
namespace {

absl::Status CheckOptions(const TrainOptions& options) {
  if (options.out.empty()) {
    return absl::InvalidArgumentError(
        "--out is needed: the directory of checkpoints");
  }
  if (options.threads < 1 || options.threads > 1024) {
    return absl::InvalidArgumentError("--threads must be 1 to 1024");
  }
  return Annotate(ValidateSettings(options.recipe.settings), "settings");
}

// The data of a run, ready to train on.
struct Task {
  EventLog log;
  SplitKind split_kind = SplitKind::kNone;
  Split split;
  Interactions train;
  PoolSampler sampler;
};

absl::StatusOr<Task> Prepare(const TrainOptions& options, FileSystem& files) {
  NEUMF_ASSIGN_OR_RETURN(const SplitKind kind, ParseSplitKind(options.split));
  NEUMF_ASSIGN_OR_RETURN(const HeldOut held_out,
                         ParseHeldOut("--held_out", options.held_out));
  NEUMF_ASSIGN_OR_RETURN(EventLog log, ReadEvents(files, options.data));
  NEUMF_ASSIGN_OR_RETURN(Split split, MakeSplit(log, kind, held_out));
  if (kind != SplitKind::kNone && split.held_out.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--split ", options.split,
        " holds out each user's last event, but no user has two: take --split "
        "none"));
  }
  Interactions train(log.num_users(), log.num_items(), split.train);
  NEUMF_ASSIGN_OR_RETURN(PoolSampler sampler,
                         PoolSampler::Create(train, split.held_out));
  return Task{std::move(log), kind, std::move(split), std::move(train),
              std::move(sampler)};
}

absl::StatusOr<TrainedModel> RunTraining(const TrainOptions& options,
                                         const CommandEnvironment& environment,
                                         const Task& task) {
  SetTorchThreads(options.threads);
  ProgressPrinter printer(stderr, isatty(fileno(stderr)) != 0);
  TrainingEnvironment training;
  training.clock = environment.clock;
  training.stop = environment.stop;
  NEUMF_ASSIGN_OR_RETURN(
      TrainedModel trained,
      TrainNeuMf(options.recipe.settings, options.seed, task.train,
                 task.sampler, training,
                 [&](const TrainingProgress& p) { printer.Show(p); }));
  const size_t num_epochs = trained.epoch_losses.size();
  if (num_epochs < options.recipe.settings.epochs) {
    absl::FPrintF(stderr,
                  "\nstopped by a signal after epoch %d of %d: publishing what "
                  "is trained\n",
                  num_epochs, options.recipe.settings.epochs);
  }
  return trained;
}

nlohmann::json TrainingJson(const TrainOptions& options, const Task& task,
                            const TrainedModel& trained) {
  const TrainSettings& settings = options.recipe.settings;
  return {{"data",
           {{"format", options.data.format},
            {"events", task.log.events.size()},
            {"users", task.log.num_users()},
            {"items", task.log.num_items()},
            {"train_events", task.split.train.size()},
            {"held_out_events", task.split.held_out.size()}}},
          {"split", options.split},
          {"held_out", options.held_out},
          {"recipe", options.recipe.name},
          {"settings",
           {{"loss", options.recipe.loss},
            {"sampler", options.recipe.sampler},
            {"optimizer", options.recipe.optimizer},
            {"factors", settings.factors},
            {"tower_factors", settings.tower_factors},
            {"hidden", settings.hidden},
            {"batch_size", settings.batch_size},
            {"epochs", settings.epochs},
            {"learning_rate", settings.learning_rate},
            {"weight_decay", settings.weight_decay}}},
          {"seed", options.seed},
          {"threads", options.threads},
          {"device", "cpu"},
          {"epochs_done", trained.epoch_losses.size()},
          {"losses", trained.epoch_losses}};
}

absl::StatusOr<nlohmann::json> Measure(const TrainOptions& options,
                                       const Task& task,
                                       const TrainedModel& trained,
                                       const ExportedModel& exported) {
  nlohmann::json metrics = nlohmann::json::object();
  if (task.split_kind != SplitKind::kNone) {
    HeldOutOptions evaluation;
    evaluation.num_threads = static_cast<size_t>(options.threads);
    NEUMF_ASSIGN_OR_RETURN(
        const HeldOutEvaluation held_out,
        EvaluateHeldOut(exported.model, exported.items, task.log, task.split,
                        evaluation));
    metrics = MetricsJson(held_out);
  }
  const double seconds = absl::ToDoubleSeconds(trained.duration);
  metrics["seed"] = options.seed;
  metrics["train_seconds"] = seconds;
  metrics["train_examples_per_second"] =
      static_cast<double>(trained.num_examples) / seconds;
  metrics["train_examples"] = trained.num_examples;
  metrics["parameters"] = trained.parameters.values().size();
  return metrics;
}

}  // namespace

absl::StatusOr<std::string> Train(const TrainOptions& options,
                                  const CommandEnvironment& environment) {
  FileSystem& files = *environment.files;
  NEUMF_RETURN_IF_ERROR(CheckOptions(options));
  NEUMF_RETURN_IF_ERROR(CheckCheckpointDirectory(files, options.out));
  NEUMF_RETURN_IF_ERROR(CheckMetricsFile(files, options.metrics_out));
  NEUMF_ASSIGN_OR_RETURN(const Task task, Prepare(options, files));
  NEUMF_ASSIGN_OR_RETURN(TrainedModel trained,
                         RunTraining(options, environment, task));
  NEUMF_ASSIGN_OR_RETURN(const ExportedModel exported,
                         ExportModel(trained.parameters, task.log, task.train));

  Manifest manifest;
  manifest.model_kind = options.recipe.model;
  manifest.created_at = absl::FormatTime(
      absl::RFC3339_sec, environment.clock->WallNow(), absl::UTCTimeZone());
  manifest.training = TrainingJson(options, task, trained);
  manifest.probes = MakeProbes(trained.parameters, task.log, task.train);
  NEUMF_ASSIGN_OR_RETURN(manifest.metrics,
                         Measure(options, task, trained, exported));
  absl::FPrintF(stderr, "metrics %s\n", manifest.metrics.dump());
  NEUMF_ASSIGN_OR_RETURN(const PublishedCheckpoint published,
                         PublishCheckpoint(files, options.out, exported.model,
                                           exported.items, manifest));
  NEUMF_RETURN_IF_ERROR(Annotate(
      WriteMetricsFile(files, options.metrics_out, manifest.metrics),
      absl::StrCat("published ", published.path, ", but not its metrics")));
  return published.path;
}

}  // namespace neumf
