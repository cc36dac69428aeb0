#include "trainer/model_training.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "trainer/cuda/step_plan.h"
#include "trainer/cuda/training_device.h"
#include "trainer/distributed/agreement.h"
#include "trainer/distributed/gradient_exchange.h"
#include "trainer/ials.h"
#include "trainer/model/torch_model.h"
#include "trainer/random.h"
#include "trainer/settings_parts.h"
#include "trainer/step/batch_stream.h"
#include "trainer/step/fused_step.h"
#include "trainer/step/gradient.h"
#include "trainer/step/schedule.h"
#include "trainer/training_run.h"

namespace neumf {
namespace {

// log(n Q(item)) by item row, of pairs; empty when nothing is to be corrected.
std::vector<float> LogQ(const TrainSettings& settings,
                        const NegativeSampler& sampler) {
  std::vector<float> log_q;
  if (!settings.log_q) return log_q;
  const double log_n = std::log(settings.negatives);
  for (float log_probability : sampler.log_probability()) {
    log_q.push_back(log_probability + static_cast<float>(log_n));
  }
  return log_q;
}

StepOptions StepOptionsOf(const TrainSettings& settings, uint64_t num_items,
                          absl::Span<const float> log_q) {
  StepOptions options;
  options.loss = LossOptionsOf(settings, num_items);
  options.sum_over_groups = settings.reduction == Reduction::kSum;
  options.l2 = settings.l2;
  options.l2_negative = settings.l2_negative;
  options.dropout = settings.dropout;
  options.log_q = log_q;
  return options;
}

std::vector<float> CopyOf(absl::Span<const float> values) {
  return std::vector<float>(values.begin(), values.end());
}

// This process's part of the batches, which all processes share.
BatchOptions PartOf(BatchOptions options, const Collective* collective) {
  if (collective == nullptr) return options;
  options.batch_size *= collective->size();
  options.part = collective->rank();
  options.num_parts = collective->size();
  return options;
}

// Epochs of batches.
class GradientTraining {
 public:
  GradientTraining(const TrainSettings& settings, uint64_t seed,
                   const TrainingData& data, const NegativeSampler* sampler,
                   std::vector<float> log_q,
                   const TrainingEnvironment& environment, TrainingRun* run)
      : settings_(settings),
        run_(run),
        threads_(environment.num_threads, "train"),
        item_bags_(data.train->num_items(), data.item_features),
        user_bags_(run->parameters().spec(), data.user_features,
                   data.sequences),
        log_q_(std::move(log_q)),
        maker_(PartOf(BatchOptionsOf(settings, seed), environment.collective),
               data.sequences, data.train->num_items(), &user_bags_, sampler),
        stream_(&maker_),
        step_options_(StepOptionsOf(settings, data.train->num_items(), log_q_)),
        step_(&run->parameters(), &item_bags_, step_options_, &threads_),
        gradient_(run->parameters().layout()),
        optimizer_(run->parameters().layout(), OptimizerOptionsOf(settings)) {
    if (run->state() != nullptr) Restore(*run->state());
    if (environment.collective != nullptr) {
      exchange_.emplace(environment.collective);
    }
    if (!environment.torch_device.empty()) {
      torch_step_.emplace(&run->parameters(), &item_bags_,
                          environment.torch_device);
    }
  }

  void AddToState(TrainingState* state) {
    state->num_steps = optimizer_.num_steps();
    state->first_moment = CopyOf(optimizer_.first_moment());
    state->second_moment = CopyOf(optimizer_.second_moment());
  }

  absl::StatusOr<double> TrainEpoch(uint32_t epoch) {
    NEUMF_ASSIGN_OR_RETURN(const Schedule schedule,
                           ParseSchedule(settings_.schedule));
    stream_.StartEpoch(epoch);
    const uint64_t num_batches = maker_.num_batches();
    const uint64_t num_examples = maker_.examples_an_epoch();
    double loss_sum = 0;
    uint64_t groups_done = 0;
    uint64_t batches_done = 0;
    while (const Batch* batch = stream_.Next()) {
      const double epochs_done = epoch - 1 +
                                 (static_cast<double>(batches_done) + 0.5) /
                                     static_cast<double>(num_batches);
      const double scale = schedule.Scale(epochs_done, settings_.epochs);
      const uint64_t num_groups = maker_.num_groups(batches_done);
      NEUMF_ASSIGN_OR_RETURN(const double loss,
                             ComputeGradient(*batch, num_groups));
      optimizer_.Step(gradient_, scale, run_->parameters().values(), threads_);
      loss_sum += settings_.reduction == Reduction::kSum
                      ? loss
                      : loss * static_cast<double>(num_groups);
      groups_done += num_groups;
      ++batches_done;
      run_->Tell(epoch, num_examples * batches_done / num_batches, num_examples,
                 loss_sum / static_cast<double>(groups_done));
      if (!std::isfinite(loss_sum)) break;
    }
    return loss_sum / static_cast<double>(groups_done);
  }

 private:
  // The loss of a batch of `num_groups` groups, of which `batch` is this
  // process's part, with its gradient in gradient_.
  absl::StatusOr<double> ComputeGradient(const Batch& batch,
                                         uint64_t num_groups) {
    if (!exchange_) return ComputeOwnGradient(batch);
    double loss = 0;
    if (batch.num_groups > 0) {
      loss = ComputeOwnGradient(batch);
    } else {
      gradient_.Clear();
    }
    const double weight = settings_.reduction == Reduction::kSum
                              ? 1
                              : static_cast<double>(batch.num_groups) /
                                    static_cast<double>(num_groups);
    return exchange_->Exchange(weight, loss, &gradient_);
  }

  double ComputeOwnGradient(const Batch& batch) {
    return torch_step_
               ? torch_step_->ComputeGradient(batch, step_options_, &gradient_)
               : step_.ComputeGradient(batch, &gradient_);
  }

  void Restore(const TrainingState& state) {
    optimizer_.set_num_steps(state.num_steps);
    const auto copy = [](const std::vector<float>& from, absl::Span<float> to) {
      NEUMF_CHECK(from.size() == to.size());
      std::copy(from.begin(), from.end(), to.begin());
    };
    copy(state.first_moment, optimizer_.first_moment());
    copy(state.second_moment, optimizer_.second_moment());
  }

  const TrainSettings& settings_;
  TrainingRun* const run_;
  ThreadPool threads_;
  const ItemBags item_bags_;
  const UserBags user_bags_;
  const std::vector<float> log_q_;
  BatchMaker maker_;
  BatchStream stream_;
  const StepOptions step_options_;
  FusedStep step_;
  std::optional<TorchModel> torch_step_;  // instead, where there is one
  Gradient gradient_;
  Optimizer optimizer_;
  std::optional<GradientExchange> exchange_;
};

absl::StatusOr<TrainedModel> TrainByGradient(
    const TrainSettings& settings, uint64_t seed, const TrainingData& data,
    const TrainingEnvironment& environment, TrainingRun* run) {
  const bool draws =
      settings.batches == BatchForm::kPairs || settings.candidates > 0;
  std::optional<NegativeSampler> sampler;
  std::vector<float> log_q;
  if (draws) {
    NEUMF_ASSIGN_OR_RETURN(
        sampler, NegativeSampler::Create(SamplerOptionsOf(settings, seed),
                                         *data.train, data.held_out));
    log_q = LogQ(settings, *sampler);
  }
  GradientTraining training(settings, seed, data, sampler ? &*sampler : nullptr,
                            std::move(log_q), environment, run);
  return run->Train([&](uint32_t epoch) { return training.TrainEpoch(epoch); },
                    [&](TrainingState* state) { training.AddToState(state); });
}

absl::StatusOr<TrainedModel> TrainByIals(const TrainSettings& settings,
                                         const TrainingData& data,
                                         const TrainingEnvironment& environment,
                                         TrainingRun* run) {
  ThreadPool threads(environment.num_threads, "train");
  IalsOptions options;
  options.factors = settings.factors;
  options.l2 = settings.l2;
  options.unobserved_weight = settings.negative_weight;
  Ials ials(*data.train, options, &threads);
  Parameters& parameters = run->parameters();
  const ParameterLayout& layout = parameters.layout();
  const uint64_t num_events = data.train->num_interactions();
  const auto train_epoch = [&](uint32_t epoch) -> absl::StatusOr<double> {
    const absl::Span<float> users = parameters.block(layout.user_gmf);
    const absl::Span<float> items = parameters.block(layout.item_gmf);
    NEUMF_RETURN_IF_ERROR(ials.Epoch(users, items));
    const double loss =
        ials.Loss(users, items) / static_cast<double>(num_events);
    run->Tell(epoch, num_events, num_events, loss);
    return loss;
  };
  return run->Train(train_epoch, [](TrainingState* /*state*/) {});
}

DeviceProgress ProgressOf(TrainingRun& run) {
  DeviceProgress progress;
  progress.parameters = CopyOf(run.parameters().values());
  const TrainingState* const state = run.state();
  if (state == nullptr) return progress;
  progress.first_moment = state->first_moment;
  progress.second_moment = state->second_moment;
  progress.num_steps = state->num_steps;
  return progress;
}

absl::StatusOr<TrainedModel> TrainOnDevice(
    const TrainSettings& settings, uint64_t seed, const TrainingData& data,
    const TrainingEnvironment& environment, TrainingRun* run) {
  NEUMF_ASSIGN_OR_RETURN(const StepPlan plan,
                         StepPlanOf(settings, seed, run->parameters().spec()));
  DeviceProgress progress = ProgressOf(*run);
  NEUMF_ASSIGN_OR_RETURN(
      const std::unique_ptr<DeviceTraining> training,
      environment.device->Start(plan, *data.train, *data.sequences, progress));
  const uint64_t num_examples =
      data.sequences->num_events() * (1 + settings.negatives);
  const auto train_epoch = [&](uint32_t epoch) -> absl::StatusOr<double> {
    const auto tell = [&](uint64_t done, uint64_t total, double mean_loss) {
      run->Tell(epoch, num_examples * done / total, num_examples, mean_loss);
    };
    NEUMF_ASSIGN_OR_RETURN(const double loss,
                           training->TrainEpoch(epoch, tell));
    NEUMF_RETURN_IF_ERROR(training->Read(&progress));
    std::copy(progress.parameters.begin(), progress.parameters.end(),
              run->parameters().values().begin());
    return loss;
  };
  return run->Train(train_epoch, [&](TrainingState* state) {
    state->num_steps = progress.num_steps;
    state->first_moment = progress.first_moment;
    state->second_moment = progress.second_moment;
  });
}

// log of the share of the train events, so that the scores start as popularity.
void StartBiasesAtPopularity(const TrainSettings& settings,
                             const TrainingData& data, Parameters* parameters) {
  const absl::Span<float> biases =
      parameters->block(parameters->layout().item_bias);
  const std::vector<uint32_t> counts = data.train->ItemCounts();
  const double mean = static_cast<double>(data.train->num_interactions()) /
                      static_cast<double>(counts.size());
  for (size_t i = 0; i < counts.size(); ++i) {
    const double count = std::max<double>(counts[i], 0.5);
    biases[i] =
        static_cast<float>(settings.temperature * std::log(count / mean));
  }
}

}  // namespace

absl::StatusOr<StepPlan> StepPlanOf(const TrainSettings& settings,
                                    uint64_t seed, const ModelSpec& spec) {
  StepPlan plan;
  plan.spec = spec;
  plan.step = StepOptionsOf(settings, spec.num_items, {});
  plan.batches = BatchOptionsOf(settings, seed);
  plan.sampler = SamplerOptionsOf(settings, seed);
  plan.optimizer = OptimizerOptionsOf(settings);
  NEUMF_ASSIGN_OR_RETURN(plan.schedule, ParseSchedule(settings.schedule));
  plan.num_epochs = settings.epochs;
  return plan;
}

absl::StatusOr<ModelSpec> SpecOf(const TrainSettings& settings,
                                 const TrainingData& data) {
  NEUMF_ASSIGN_OR_RETURN(
      ModelSpec spec,
      SpecOf(settings, data.train->num_users(), data.train->num_items()));
  if (data.user_features != nullptr) {
    spec.num_user_features =
        static_cast<uint32_t>(data.user_features->num_values());
  }
  if (data.item_features != nullptr) {
    spec.num_item_features =
        static_cast<uint32_t>(data.item_features->num_values());
  }
  NEUMF_RETURN_IF_ERROR(ValidateSpec(spec));
  return spec;
}

Parameters InitialParameters(const ModelSpec& spec,
                             const TrainSettings& settings, uint64_t seed,
                             const TrainingData& data) {
  Parameters parameters(spec);
  Random random(seed);
  parameters.Initialize(settings.initialization, settings.embedding_scale,
                        random);
  if (settings.bias_start == BiasStart::kPopularity && spec.item_bias) {
    StartBiasesAtPopularity(settings, data, &parameters);
  }
  return parameters;
}

absl::StatusOr<TrainedModel> TrainModel(const TrainSettings& settings,
                                        uint64_t seed, const TrainingData& data,
                                        TrainingStart start,
                                        const TrainingEnvironment& environment,
                                        ProgressCallback progress,
                                        EpochCallback epoch_done) {
  if (data.train->num_interactions() == 0) {
    return absl::InvalidArgumentError("there is nothing to train on");
  }
  std::optional<TrainingState> shared;
  if (environment.collective != nullptr) {
    NEUMF_CHECK(settings.loss != kIals);
    std::optional<TrainingState> mine;
    if (start.state != nullptr) mine = *start.state;
    NEUMF_ASSIGN_OR_RETURN(shared, ShareState(mine, *environment.collective));
    start.state = shared ? &*shared : nullptr;
  }
  TrainingRun run(settings.epochs, std::move(start), environment, progress,
                  epoch_done);
  if (settings.loss == kIals) {
    return TrainByIals(settings, data, environment, &run);
  }
  if (environment.device != nullptr) {
    return TrainOnDevice(settings, seed, data, environment, &run);
  }
  return TrainByGradient(settings, seed, data, environment, &run);
}

}  // namespace neumf
