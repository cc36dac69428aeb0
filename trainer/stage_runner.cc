#include "trainer/stage_runner.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "trainer/model_training.h"
#include "trainer/pretrained.h"
#include "trainer/progress_printer.h"
#include "trainer/settings.h"
#include "trainer/weights_file.h"

namespace neumf {
namespace {

std::string WeightsName(const RecipeStage& stage) {
  return absl::StrCat("@", stage.name);
}

nlohmann::json StageJson(const RecipeStage& stage,
                         const std::vector<double>& epoch_losses) {
  nlohmann::json settings;
  for (const std::string& name : SettingNames()) {
    settings[name] = SettingText(name, stage.settings);
  }
  return {{"stage", stage.name},
          {"settings", std::move(settings)},
          {"epochs_done", epoch_losses.size()},
          {"losses", epoch_losses}};
}

nlohmann::json CurveJson(const EpochCurve& curve) {
  nlohmann::json json = nlohmann::json::object();
  if (!curve.points().empty()) json["curve"] = curve.points();
  if (curve.has_best()) json["best_epoch"] = curve.best_epoch();
  return json;
}

void SayHowItEnded(const EpochCurve& curve, size_t epochs_done,
                   uint32_t epochs_wanted) {
  if (curve.has_best()) {
    absl::FPrintF(stderr, "the best epoch is %d of %d\n", curve.best_epoch(),
                  epochs_done);
  } else if (epochs_done < epochs_wanted) {
    absl::FPrintF(stderr,
                  "\nstopped by a signal after epoch %d of %d: publishing "
                  "what is trained\n",
                  epochs_done, epochs_wanted);
  }
}

}  // namespace

absl::StatusOr<StageRunner> StageRunner::Create(
    const TrainOptions& options, const TrainTask& task,
    const CommandEnvironment& environment) {
  StageRunner runner(options, environment);
  runner.is_measured_ = task.is_measured();
  const std::vector<RecipeStage>& stages = options.recipe.stages;
  for (const RecipeStage& stage : stages) {
    NEUMF_RETURN_IF_ERROR(
        Annotate(runner.Add(stage, task),
                 stages.size() == 1 ? "" : absl::StrCat("stage ", stage.name)));
  }
  return runner;
}

absl::Status StageRunner::Add(const RecipeStage& recipe,
                              const TrainTask& task) {
  Stage stage;
  stage.recipe = &recipe;
  NEUMF_ASSIGN_OR_RETURN(
      stage.inputs,
      StageInputs::Create(recipe.settings, task, *environment_->files));
  NEUMF_RETURN_IF_ERROR(ReadWeightsOnce(recipe.settings.pretrained_gmf));
  NEUMF_RETURN_IF_ERROR(ReadWeightsOnce(recipe.settings.pretrained_mlp));
  NEUMF_RETURN_IF_ERROR(StartOf(stage).status());
  weights_.insert_or_assign(WeightsName(recipe),
                            Parameters(stage.inputs->spec()));
  stages_.push_back(std::move(stage));
  return absl::OkStatus();
}

absl::Status StageRunner::ReadWeightsOnce(const std::string& name) {
  if (name.empty() || weights_.count(name) > 0) return absl::OkStatus();
  NEUMF_ASSIGN_OR_RETURN(WeightsFile file,
                         ReadWeights(*environment_->files, name));
  weights_.emplace(name, std::move(file.parameters));
  return absl::OkStatus();
}

absl::StatusOr<Parameters> StageRunner::StartOf(const Stage& stage) const {
  const TrainSettings& settings = stage.recipe->settings;
  const StageInputs& inputs = *stage.inputs;
  Parameters start =
      InitialParameters(inputs.spec(), settings, options_->seed, inputs.data());
  const auto find = [&](const std::string& name) {
    return name.empty() ? nullptr : &weights_.at(name);
  };
  const Parameters* const gmf = find(settings.pretrained_gmf);
  const Parameters* const mlp = find(settings.pretrained_mlp);
  if (gmf != nullptr || mlp != nullptr) {
    NEUMF_RETURN_IF_ERROR(
        StartFromPretrained(gmf, mlp, settings.alpha, &start));
  }
  return start;
}

CurveOptions StageRunner::CurveOptionsOf(const Stage& stage) const {
  CurveOptions curve;
  if (!is_measured_ || &stage != &stages_.back()) return curve;
  curve.every = options_->evaluate_every;
  curve.patience = options_->patience;
  curve.select_by = options_->select_by;
  if (curve.every == 0 && curve.patience > 0) curve.every = 1;
  return curve;
}

absl::StatusOr<TrainedStages> StageRunner::Run(Measure measure) {
  const Stage& last = stages_.back();
  TrainedStages trained{last.inputs.get(),        Parameters(ModelSpec()),
                        nlohmann::json::object(), nlohmann::json::array(),
                        absl::ZeroDuration(),     0};
  for (const Stage& stage : stages_) {
    const auto measure_stage = [&](const Parameters& parameters) {
      return measure(*stage.inputs, parameters);
    };
    EpochCurve curve(CurveOptionsOf(stage), measure_stage);
    NEUMF_RETURN_IF_ERROR(Annotate(
        Train(stage, curve, &trained),
        &stage == &last ? "" : absl::StrCat("stage ", stage.recipe->name)));
    trained.curve = CurveJson(curve);
  }
  trained.parameters = std::move(weights_.at(WeightsName(*last.recipe)));
  return trained;
}

absl::Status StageRunner::Train(const Stage& stage, EpochCurve& curve,
                                TrainedStages* trained) {
  const TrainSettings& settings = stage.recipe->settings;
  NEUMF_ASSIGN_OR_RETURN(Parameters start, StartOf(stage));
  ProgressPrinter printer(stderr, isatty(fileno(stderr)) != 0);
  TrainingEnvironment training;
  training.clock = environment_->clock;
  training.num_threads = static_cast<size_t>(options_->threads);
  training.stop = environment_->stop;
  NEUMF_ASSIGN_OR_RETURN(
      TrainedModel model,
      TrainModel(
          settings, options_->seed, stage.inputs->data(), {std::move(start)},
          training,
          [&](const TrainingProgress& progress) { printer.Show(progress); },
          [&](const EpochEnd& end) {
            return curve.Add(end.epoch, end.parameters);
          }));
  SayHowItEnded(curve, model.epoch_losses.size(), settings.epochs);
  trained->stages.push_back(StageJson(*stage.recipe, model.epoch_losses));
  trained->duration += model.duration;
  trained->num_examples += model.num_examples;
  if (auto best = curve.TakeBest()) model.parameters = *std::move(best);
  weights_.insert_or_assign(WeightsName(*stage.recipe),
                            std::move(model.parameters));
  return absl::OkStatus();
}

}  // namespace neumf
