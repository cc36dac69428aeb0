#include "trainer/stage_runner.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "trainer/distributed/agreement.h"
#include "trainer/model_training.h"
#include "trainer/pretrained.h"
#include "trainer/progress_printer.h"
#include "trainer/random.h"
#include "trainer/settings.h"
#include "trainer/weights_file.h"
#include "trainer/weights_origin.h"

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

// `status` with the stage before its message, where there are several.
absl::Status InStage(const RecipeStage& stage,
                     const std::vector<RecipeStage>& stages,
                     const absl::Status& status) {
  if (stages.size() == 1) return status;
  return Annotate(status, absl::StrCat("stage ", stage.name));
}

void SayHowItEnded(const EpochCurve& curve, size_t epochs_done,
                   uint32_t epochs_wanted, bool is_last) {
  if (curve.has_best()) {
    absl::FPrintF(stderr, "the best epoch is %d of %d\n", curve.best_epoch(),
                  epochs_done);
  } else if (epochs_done < epochs_wanted) {
    absl::FPrintF(stderr, "\nstopped by a signal after epoch %d of %d%s\n",
                  epochs_done, epochs_wanted,
                  is_last ? ": publishing what is trained" : "");
  }
}

// That the processes of a distributed run have ended alike.
absl::Status SayParameters(const Parameters& parameters,
                           Collective& collective) {
  NEUMF_ASSIGN_OR_RETURN(const Sha256Digest digest,
                         CheckSameParameters(parameters.values(), collective));
  absl::FPrintF(stderr, "process %d of %d: parameters %s\n", collective.rank(),
                collective.size(), ToHex(digest));
  return absl::OkStatus();
}

// A loss that has grown this much was never going to come back.
constexpr double kDivergence = 10;

absl::Status CheckLosses(const std::vector<double>& losses) {
  if (losses.empty()) return absl::OkStatus();
  const double first = losses.front();
  const double last = losses.back();
  // What is small may well grow so much.
  if (last < 1 || last <= kDivergence * first) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("the loss grew from %.4g in the first epoch to %.4g: try "
                      "a lower learning rate",
                      first, last));
}

void Keep(const EpochEnd& end, const EpochCurve& curve,
          const std::string& stage, StateDirectory& states) {
  TrainingState state = end.state();
  curve.Save(&state);
  const absl::Status written = states.Write(stage, std::move(state));
  if (written.ok()) return;
  absl::FPrintF(stderr,
                "\nwarning: --state keeps nothing of epoch %d: %s; training "
                "goes on\n",
                end.epoch, written.message());
}

}  // namespace

uint64_t StageSeed(uint64_t seed, size_t num_later) {
  if (num_later == 0) return seed;
  return Random(seed ^ uint64_t{num_later} << 32).Next();
}

absl::StatusOr<StageRunner> StageRunner::Create(
    const TrainOptions& options, const TrainTask& task,
    const CommandEnvironment& environment) {
  StageRunner runner(options, environment);
  runner.is_measured_ = task.is_measured();
  const std::vector<RecipeStage>& stages = options.recipe.stages;
  for (const RecipeStage& stage : stages) {
    NEUMF_RETURN_IF_ERROR(InStage(stage, stages, runner.Add(stage, task)));
  }
  NEUMF_RETURN_IF_ERROR(runner.ChooseDevice());
  return runner;
}

absl::Status StageRunner::ChooseDevice() {
  if (environment_->collective != nullptr) return absl::OkStatus();
  std::vector<PlannedStage> planned;
  for (const Stage& stage : stages_) {
    const TrainSettings& settings = stage.recipe->settings;
    planned.push_back({stage.recipe->name, std::nullopt, {}});
    if (settings.loss == kIals) continue;
    NEUMF_ASSIGN_OR_RETURN(
        planned.back().plan,
        StepPlanOf(settings, SeedOf(stage), stage.inputs->spec()));
    const TrainingData& data = stage.inputs->data();
    planned.back().size = {data.sequences->num_events(),
                           data.train->num_interactions()};
  }
  NEUMF_ASSIGN_OR_RETURN(device_, neumf::ChooseDevice(options_->device, planned,
                                                      environment_->devices));
  if (device_.name() != kCpuName) {
    absl::FPrintF(stderr, "training on %s\n", device_.name());
  } else if (!device_.why.empty()) {
    absl::FPrintF(stderr, "training on the CPU: %s\n", device_.why);
  }
  return absl::OkStatus();
}

absl::Status StageRunner::Add(const RecipeStage& recipe,
                              const TrainTask& task) {
  Stage stage;
  stage.recipe = &recipe;
  NEUMF_ASSIGN_OR_RETURN(
      stage.inputs,
      StageInputs::Create(recipe.settings, task, *environment_->files));
  const TrainSettings& settings = recipe.settings;
  NEUMF_RETURN_IF_ERROR(
      ReadWeightsOnce("--pretrained_gmf", settings.pretrained_gmf, task));
  NEUMF_RETURN_IF_ERROR(
      ReadWeightsOnce("--pretrained_mlp", settings.pretrained_mlp, task));
  stages_.push_back(std::move(stage));
  NEUMF_RETURN_IF_ERROR(StartOf(stages_.back()).status());
  weights_.insert_or_assign(WeightsName(recipe),
                            Parameters(stages_.back().inputs->spec()));
  return absl::OkStatus();
}

absl::Status StageRunner::ReadWeightsOnce(absl::string_view flag,
                                          const std::string& name,
                                          const TrainTask& task) {
  if (name.empty() || weights_.count(name) > 0) return absl::OkStatus();
  absl::StatusOr<WeightsFile> file = ReadWeights(*environment_->files, name);
  if (!file.ok()) return Annotate(file.status(), flag);
  NEUMF_RETURN_IF_ERROR(
      Annotate(CheckOrigin(file->about, task), absl::StrCat(flag, ": ", name)));
  weights_.emplace(name, std::move(file->parameters));
  return absl::OkStatus();
}

uint64_t StageRunner::SeedOf(const Stage& stage) const {
  const std::vector<RecipeStage>& stages = options_->recipe.stages;
  return StageSeed(options_->seed,
                   static_cast<size_t>(&stages.back() - stage.recipe));
}

absl::StatusOr<Parameters> StageRunner::StartOf(const Stage& stage) const {
  const TrainSettings& settings = stage.recipe->settings;
  const StageInputs& inputs = *stage.inputs;
  Parameters start =
      InitialParameters(inputs.spec(), settings, SeedOf(stage), inputs.data());
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

bool StageRunner::Speaks() const {
  return environment_->collective == nullptr ||
         environment_->collective->leads();
}

CurveOptions StageRunner::CurveOptionsOf(const Stage& stage) const {
  CurveOptions curve;
  if (!is_measured_ || &stage != &stages_.back()) return curve;
  curve.every = options_->evaluate_every;
  curve.last = stage.recipe->settings.epochs;
  curve.patience = options_->patience;
  curve.select_by = options_->select_by;
  if (curve.every == 0 && curve.patience > 0) curve.every = 1;
  return curve;
}

absl::StatusOr<TrainedStages> StageRunner::Run(Measure measure,
                                               StateDirectory* states) {
  const Stage& last = stages_.back();
  TrainedStages trained{last.inputs.get(),
                        Parameters(ModelSpec()),
                        nlohmann::json::object(),
                        nlohmann::json::array(),
                        device_name(),
                        absl::ZeroDuration(),
                        0};
  // Before hours of training, not after some of them.
  for (const Stage& stage : stages_) {
    NEUMF_RETURN_IF_ERROR(InStage(*stage.recipe, options_->recipe.stages,
                                  StateOf(stage, states).status()));
  }
  for (const Stage& stage : stages_) {
    const auto measure_stage = [&](const Parameters& parameters) {
      return measure(*stage.inputs, parameters);
    };
    EpochCurve curve(CurveOptionsOf(stage), measure_stage);
    NEUMF_RETURN_IF_ERROR(InStage(*stage.recipe, options_->recipe.stages,
                                  Train(stage, curve, states, &trained)));
    trained.curve = CurveJson(curve);
  }
  trained.parameters = std::move(weights_.at(WeightsName(*last.recipe)));
  return trained;
}

absl::StatusOr<std::optional<TrainingState>> StageRunner::StateOf(
    const Stage& stage, StateDirectory* states) const {
  if (states == nullptr) return std::optional<TrainingState>();
  const ParameterLayout layout(stage.inputs->spec());
  return states->Read(stage.recipe->name, layout.size);
}

absl::Status StageRunner::Train(const Stage& stage, EpochCurve& curve,
                                StateDirectory* states,
                                TrainedStages* trained) {
  const TrainSettings& settings = stage.recipe->settings;
  NEUMF_ASSIGN_OR_RETURN(const std::optional<TrainingState> state,
                         StateOf(stage, states));
  NEUMF_ASSIGN_OR_RETURN(TrainedModel model,
                         TrainFrom(stage, state, curve, states));
  // With patience the held-out events have chosen the epoch.
  if (!curve.chooses()) {
    NEUMF_RETURN_IF_ERROR(CheckLosses(model.epoch_losses));
  }
  const size_t epochs_done = model.epoch_losses.size();
  if (Speaks())
    SayHowItEnded(curve, epochs_done, settings.epochs,
                  &stage == &stages_.back());
  if (epochs_done < settings.epochs && curve.goes_on()) {
    trained->is_complete = false;
  }
  if (environment_->collective != nullptr) {
    NEUMF_RETURN_IF_ERROR(
        SayParameters(model.parameters, *environment_->collective));
  }
  trained->stages.push_back(StageJson(*stage.recipe, model.epoch_losses));
  trained->duration += model.duration;
  trained->num_examples += model.num_examples;
  if (auto best = curve.TakeBest()) model.parameters = *std::move(best);
  weights_.insert_or_assign(WeightsName(*stage.recipe),
                            std::move(model.parameters));
  return absl::OkStatus();
}

absl::StatusOr<TrainedModel> StageRunner::TrainFrom(
    const Stage& stage, const std::optional<TrainingState>& state,
    EpochCurve& curve, StateDirectory* states) {
  const TrainSettings& settings = stage.recipe->settings;
  NEUMF_ASSIGN_OR_RETURN(Parameters parameters, StartOf(stage));
  TrainingStart start{std::move(parameters)};
  uint64_t epochs_kept = 0;  // in the state
  if (state.has_value()) {
    start.state = &*state;
    epochs_kept = state->epochs_done();
    curve.Restore(*state, stage.inputs->spec());
    absl::FPrintF(stderr, "going on with %s after epoch %d of %d\n",
                  stage.recipe->name, epochs_kept, settings.epochs);
  }
  const bool speaks = Speaks();
  ProgressPrinter printer(stderr, isatty(fileno(stderr)) != 0);
  TrainingEnvironment training;
  training.clock = environment_->clock;
  training.num_threads = static_cast<size_t>(options_->threads);
  training.stop = environment_->stop;
  training.collective = environment_->collective;
  training.device = device_.device.get();
  training.torch_device = device_.torch;
  return TrainModel(
      settings, SeedOf(stage), stage.inputs->data(), std::move(start), training,
      [&](const TrainingProgress& progress) {
        if (speaks) printer.Show(progress);
      },
      [&](const EpochEnd& end) -> absl::StatusOr<bool> {
        if (state.has_value() && end.epoch == epochs_kept) {
          return curve.goes_on();
        }
        NEUMF_ASSIGN_OR_RETURN(const bool goes_on,
                               curve.Add(end.epoch, end.parameters));
        if (states != nullptr && end.epoch > 0) {
          Keep(end, curve, stage.recipe->name, *states);
        }
        return goes_on;
      });
}

}  // namespace neumf
