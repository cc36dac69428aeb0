#include "trainer/train_command.h"

#include <unistd.h>

#include <cstdio>
#include <map>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint_writer.h"
#include "nlohmann/json.hpp"
#include "trainer/epoch_curve.h"
#include "trainer/export_model.h"
#include "trainer/held_out_evaluation.h"
#include "trainer/model_training.h"
#include "trainer/outputs.h"
#include "trainer/pretrained.h"
#include "trainer/progress_printer.h"
#include "trainer/torch_threads.h"
#include "trainer/weights_file.h"

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

absl::Status CheckOptions(const TrainOptions& options, FileSystem& files) {
  if (options.out.empty()) {
    return absl::InvalidArgumentError(
        "--out is needed: the directory of checkpoints");
  }
  if (options.threads < 1 || options.threads > 1024) {
    return absl::InvalidArgumentError("--threads must be 1 to 1024");
  }
  NEUMF_RETURN_IF_ERROR(CheckPatience(options));
  NEUMF_RETURN_IF_ERROR(ValidateRecipe(options.recipe));
  NEUMF_RETURN_IF_ERROR(CheckCheckpointDirectory(files, options.out));
  NEUMF_RETURN_IF_ERROR(CheckMetricsFile(files, options.metrics_out));
  return CheckOutputFile(files, "--weights_out", options.weights_out);
}

Interactions SeenOf(const TrainTask& task) {
  std::vector<Event> seen = task.split.train;
  seen.insert(seen.end(), task.split.low_rated.begin(),
              task.split.low_rated.end());
  return Interactions(task.log.num_users(), task.log.num_items(), seen);
}

// One run of the command.
class TrainRun {
 public:
  TrainRun(const TrainOptions& options, const CommandEnvironment& environment,
           TrainTask task)
      : options_(options),
        environment_(environment),
        task_(std::move(task)),
        seen_(SeenOf(task_)),
        threads_(static_cast<size_t>(options.threads), "export") {}

  absl::StatusOr<std::string> Run() {
    for (const RecipeStage& stage : options_.recipe.stages) {
      const bool is_last = &stage == &options_.recipe.stages.back();
      NEUMF_RETURN_IF_ERROR(
          Annotate(TrainStage(stage, is_last),
                   is_last ? "" : absl::StrCat("stage ", stage.name)));
    }
    return Publish();
  }

 private:
  absl::StatusOr<Parameters> FindWeights(const std::string& name) const {
    if (absl::StartsWith(name, "@")) return trained_.at(name.substr(1));
    NEUMF_ASSIGN_OR_RETURN(WeightsFile weights,
                           ReadWeights(*environment_.files, name));
    return std::move(weights.parameters);
  }

  absl::StatusOr<Parameters> StartOf(const TrainSettings& settings,
                                     const ModelSpec& spec,
                                     const TrainingData& data) const {
    Parameters start = InitialParameters(spec, settings, options_.seed, data);
    std::optional<Parameters> gmf;
    std::optional<Parameters> mlp;
    if (!settings.pretrained_gmf.empty()) {
      NEUMF_ASSIGN_OR_RETURN(gmf, FindWeights(settings.pretrained_gmf));
    }
    if (!settings.pretrained_mlp.empty()) {
      NEUMF_ASSIGN_OR_RETURN(mlp, FindWeights(settings.pretrained_mlp));
    }
    if (gmf || mlp) {
      NEUMF_RETURN_IF_ERROR(StartFromPretrained(gmf ? &*gmf : nullptr,
                                                mlp ? &*mlp : nullptr,
                                                settings.alpha, &start));
    }
    return start;
  }

  absl::Status TrainStage(const RecipeStage& stage, bool is_last) {
    const TrainSettings& settings = stage.settings;
    NEUMF_ASSIGN_OR_RETURN(
        features_, ReadTaskFeatures(settings, task_.log, *environment_.files));
    const TrainingData data = TrainingDataOf(task_, features_);
    NEUMF_ASSIGN_OR_RETURN(const ModelSpec spec, SpecOf(settings, data));
    NEUMF_ASSIGN_OR_RETURN(Parameters start, StartOf(settings, spec, data));
    item_bags_.emplace(task_.log.num_items(), data.item_features);
    user_bags_.emplace(spec, data.user_features, &task_.sequences);

    CurveOptions curve_options;
    if (is_last && task_.is_measured()) {
      curve_options.every = options_.evaluate_every;
      curve_options.patience = options_.patience;
      curve_options.select_by = options_.select_by;
      if (curve_options.every == 0 && options_.patience > 0) {
        curve_options.every = 1;
      }
    }
    const auto measure = [&](const Parameters& parameters) {
      return MeasureParameters(parameters);
    };
    EpochCurve curve(curve_options, measure);
    NEUMF_ASSIGN_OR_RETURN(TrainedModel trained,
                           TrainFrom(std::move(start), settings, data, curve));
    const size_t num_epochs = trained.epoch_losses.size();
    if (auto best = curve.TakeBest()) {
      absl::FPrintF(stderr, "the best epoch is %d of %d\n", curve.best_epoch(),
                    num_epochs);
      trained.parameters = *std::move(best);
    } else if (num_epochs < settings.epochs) {
      absl::FPrintF(stderr,
                    "\nstopped by a signal after epoch %d of %d: publishing "
                    "what is trained\n",
                    num_epochs, settings.epochs);
    }
    NoteStage(stage, trained, curve);
    trained_.insert_or_assign(stage.name, std::move(trained.parameters));
    return absl::OkStatus();
  }

  absl::StatusOr<TrainedModel> TrainFrom(Parameters start,
                                         const TrainSettings& settings,
                                         const TrainingData& data,
                                         EpochCurve& curve) {
    ProgressPrinter printer(stderr, isatty(fileno(stderr)) != 0);
    TrainingEnvironment training;
    training.clock = environment_.clock;
    training.num_threads = static_cast<size_t>(options_.threads);
    training.stop = environment_.stop;
    return TrainModel(
        settings, options_.seed, data, std::move(start), training,
        [&](const TrainingProgress& progress) { printer.Show(progress); },
        [&](uint32_t epoch, const Parameters& parameters) {
          return curve.Add(epoch, parameters);
        });
  }

  void NoteStage(const RecipeStage& stage, const TrainedModel& trained,
                 const EpochCurve& curve) {
    nlohmann::json settings;
    for (const std::string& name : SettingNames()) {
      settings[name] = SettingText(name, stage.settings);
    }
    stages_.push_back({{"stage", stage.name},
                       {"settings", std::move(settings)},
                       {"epochs_done", trained.epoch_losses.size()},
                       {"losses", trained.epoch_losses}});
    train_seconds_ += absl::ToDoubleSeconds(trained.duration);
    train_examples_ += trained.num_examples;
    num_parameters_ = trained.parameters.values().size();
    if (!curve.points().empty()) metrics_["curve"] = curve.points();
    if (curve.best_epoch() > 0) metrics_["best_epoch"] = curve.best_epoch();
  }

  ExportData ExportDataOf() const {
    ExportData data;
    data.log = &task_.log;
    data.positives = &task_.train;
    data.seen = &seen_;
    data.item_bags = &*item_bags_;
    data.user_bags = &*user_bags_;
    return data;
  }

  absl::StatusOr<HeldOutEvaluation> MeasureExported(
      const ExportedModel& exported, bool check_ties) const {
    HeldOutOptions held_out;
    held_out.protocol = task_.protocol;
    held_out.drop_rated = options_.drop_rated;
    held_out.check_ties = check_ties;
    held_out.num_threads = static_cast<size_t>(options_.threads);
    return EvaluateHeldOut(exported.model, exported.items, task_.log,
                           task_.split, held_out);
  }

  // Of an epoch: a model that is not trained may tie.
  absl::StatusOr<Evaluation> MeasureParameters(const Parameters& parameters) {
    NEUMF_ASSIGN_OR_RETURN(const ExportedModel exported,
                           ExportModel(parameters, ExportDataOf(), threads_));
    NEUMF_ASSIGN_OR_RETURN(HeldOutEvaluation held_out,
                           MeasureExported(exported, /*check_ties=*/false));
    return std::move(held_out.evaluation);
  }

  nlohmann::json TrainingJson() const {
    nlohmann::json training = {
        {"data",
         {{"format", options_.task.data.format},
          {"events", task_.log.events.size()},
          {"users", task_.log.num_users()},
          {"items", task_.log.num_items()},
          {"train_events", task_.split.train.size()},
          {"held_out_events", task_.split.held_out.size()},
          {"low_rated_events", task_.split.low_rated.size()},
          {"split_hash", absl::StrFormat("%016x", task_.split.hash)}}},
        {"split", options_.task.split},
        {"split_seed", options_.task.split_seed},
        {"held_out", options_.task.held_out},
        {"recipe", options_.recipe.name},
        {"seed", options_.seed},
        {"threads", options_.threads},
        {"device", "cpu"},
        {"stages", stages_}};
    return training;
  }

  absl::StatusOr<std::string> Publish() {
    Parameters& parameters = trained_.at(options_.recipe.stages.back().name);
    NEUMF_ASSIGN_OR_RETURN(const ExportedModel exported,
                           ExportModel(parameters, ExportDataOf(), threads_));
    if (task_.is_measured()) {
      NEUMF_ASSIGN_OR_RETURN(const HeldOutEvaluation held_out,
                             MeasureExported(exported, /*check_ties=*/true));
      metrics_.update(MetricsJson(held_out));
    }
    metrics_["seed"] = options_.seed;
    metrics_["train_seconds"] = train_seconds_;
    metrics_["train_examples_per_second"] =
        static_cast<double>(train_examples_) / train_seconds_;
    metrics_["train_examples"] = train_examples_;
    metrics_["parameters"] = num_parameters_;
    metrics_["train_events"] = task_.split.train.size();
    metrics_["held_out_events"] = task_.split.held_out.size();
    metrics_["split_hash"] = absl::StrFormat("%016x", task_.split.hash);
    absl::FPrintF(stderr, "metrics %s\n", metrics_.dump());

    Manifest manifest;
    manifest.model_kind = SettingText("model", options_.recipe.settings());
    manifest.created_at = absl::FormatTime(
        absl::RFC3339_sec, environment_.clock->WallNow(), absl::UTCTimeZone());
    manifest.training = TrainingJson();
    manifest.probes = MakeProbes(parameters, ExportDataOf());
    manifest.metrics = metrics_;
    FileSystem& files = *environment_.files;
    if (!options_.weights_out.empty()) {
      NEUMF_RETURN_IF_ERROR(WriteWeights(files, options_.weights_out,
                                         parameters, manifest.training));
    }
    NEUMF_ASSIGN_OR_RETURN(
        const PublishedCheckpoint published,
        PublishCheckpoint(files, options_.out, exported.model, exported.items,
                          manifest));
    NEUMF_RETURN_IF_ERROR(Annotate(
        WriteMetricsFile(files, options_.metrics_out, metrics_),
        absl::StrCat("published ", published.path, ", but not its metrics")));
    return published.path;
  }

  const TrainOptions& options_;
  const CommandEnvironment& environment_;
  const TrainTask task_;
  const Interactions seen_;
  ThreadPool threads_;
  // Of the stage that is trained, in the end of the last one.
  TaskFeatures features_;
  std::optional<ItemBags> item_bags_;
  std::optional<UserBags> user_bags_;
  // Of the stages that are done.
  std::map<std::string, Parameters> trained_;
  nlohmann::json stages_ = nlohmann::json::array();
  nlohmann::json metrics_ = nlohmann::json::object();
  double train_seconds_ = 0;
  uint64_t train_examples_ = 0;
  uint64_t num_parameters_ = 0;
};

}  // namespace

absl::StatusOr<std::string> Train(const TrainOptions& options,
                                  const CommandEnvironment& environment) {
  NEUMF_RETURN_IF_ERROR(CheckOptions(options, *environment.files));
  SetTorchThreads(options.threads);
  NEUMF_ASSIGN_OR_RETURN(TrainTask task,
                         PrepareTask(options.task, *environment.files));
  return TrainRun(options, environment, std::move(task)).Run();
}

}  // namespace neumf
