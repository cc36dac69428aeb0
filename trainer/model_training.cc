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
#include "trainer/distributed/agreement.h"
#include "trainer/distributed/gradient_exchange.h"
#include "trainer/ials.h"
#include "trainer/random.h"
#include "trainer/settings_parts.h"
#include "trainer/step/batch_stream.h"
#include "trainer/step/fused_step.h"
#include "trainer/step/gradient.h"
#include "trainer/step/schedule.h"

namespace neumf {
namespace {

bool IsSet(const std::atomic<bool>* flag) {
  return flag != nullptr && flag->load(std::memory_order_relaxed);
}

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

// What a way of training keeps from epoch to epoch besides the parameters.
using AddToState = absl::FunctionRef<void(TrainingState* state)>;

std::vector<float> CopyOf(absl::Span<const float> values) {
  return std::vector<float>(values.begin(), values.end());
}

// What both ways of training share: the clock, the epochs, who is told.
class Run {
 public:
  Run(uint32_t num_epochs, TrainingStart start,
      const TrainingEnvironment& environment, ProgressCallback progress,
      EpochCallback epoch_done)
      : num_epochs_(num_epochs),
        environment_(environment),
        progress_(progress),
        epoch_done_(epoch_done),
        state_(start.state),
        model_{std::move(start.parameters), {}, 0, {}} {
    if (state_ == nullptr) return;
    NEUMF_CHECK(state_->parameters.size() == parameters().values().size());
    std::copy(state_->parameters.begin(), state_->parameters.end(),
              parameters().values().begin());
    model_.epoch_losses = state_->epoch_losses;
    model_.num_examples = state_->num_examples;
    model_.duration = state_->duration;
  }

  Parameters& parameters() { return model_.parameters; }
  // That training goes on from; may be null.
  const TrainingState* state() const { return state_; }

  // Calls train_epoch(epoch) for each epoch until they are done or somebody
  // ends it. It returns the epoch's mean loss and tells its progress.
  absl::StatusOr<TrainedModel> Train(
      absl::FunctionRef<absl::StatusOr<double>(uint32_t epoch)> train_epoch,
      AddToState add_to_state) {
    auto epoch = static_cast<uint32_t>(model_.epoch_losses.size());
    NEUMF_ASSIGN_OR_RETURN(bool goes_on, EndEpoch(epoch, add_to_state));
    // Several processes have agreed on stopping at the end of the epoch.
    const auto* const stop =
        environment_.collective == nullptr ? environment_.stop : nullptr;
    while (goes_on && epoch < num_epochs_ && !IsSet(stop)) {
      ++epoch;
      start_ = environment_.clock->MonotonicNow();
      NEUMF_ASSIGN_OR_RETURN(const double loss, train_epoch(epoch));
      model_.duration += environment_.clock->MonotonicNow() - start_;
      if (!std::isfinite(loss)) {
        return absl::InvalidArgumentError(
            absl::StrCat("the loss is not finite in epoch ", epoch,
                         ": try a lower learning rate"));
      }
      model_.epoch_losses.push_back(loss);
      NEUMF_ASSIGN_OR_RETURN(goes_on, EndEpoch(epoch, add_to_state));
    }
    if (model_.epoch_losses.empty() && num_epochs_ > 0) {
      return absl::CancelledError("stopped before the first epoch");
    }
    return std::move(model_);
  }

  void Tell(uint32_t epoch, uint64_t done, uint64_t total, double mean_loss) {
    TrainingProgress progress;
    progress.epoch = epoch;
    progress.num_epochs = num_epochs_;
    progress.examples_done = done;
    progress.epoch_examples = total;
    progress.mean_loss = mean_loss;
    progress.elapsed =
        model_.duration + environment_.clock->MonotonicNow() - start_;
    if (progress.epoch_done()) model_.num_examples += total;
    progress_(progress);
  }

 private:
  // Whether training goes on; the same in all processes.
  absl::StatusOr<bool> EndEpoch(uint32_t epoch, AddToState add_to_state) {
    Collective* const collective = environment_.collective;
    if (collective == nullptr) return TellOfEpoch(epoch, add_to_state);
    NEUMF_RETURN_IF_ERROR(
        CheckSameParameters(parameters().values(), *collective).status());
    absl::StatusOr<bool> goes_on = true;
    if (collective->leads()) goes_on = TellOfEpoch(epoch, add_to_state);
    NEUMF_RETURN_IF_ERROR(ShareStatus(goes_on.status(), *collective));
    NEUMF_ASSIGN_OR_RETURN(
        const bool ends,
        AnySays(!*goes_on || IsSet(environment_.stop), *collective));
    return !ends;
  }

  absl::StatusOr<bool> TellOfEpoch(uint32_t epoch, AddToState add_to_state) {
    const auto copy_state = [&] {
      TrainingState state;
      state.epoch_losses = model_.epoch_losses;
      state.num_examples = model_.num_examples;
      state.duration = model_.duration;
      state.parameters = CopyOf(parameters().values());
      add_to_state(&state);
      return state;
    };
    return epoch_done_({epoch, parameters(), copy_state});
  }

  const uint32_t num_epochs_;
  const TrainingEnvironment& environment_;
  const ProgressCallback progress_;
  const EpochCallback epoch_done_;
  const TrainingState* const state_;
  TrainedModel model_;
  absl::Duration start_;  // of the epoch
};

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
                   const TrainingEnvironment& environment, Run* run)
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
        step_(&run->parameters(), &item_bags_,
              StepOptionsOf(settings, data.train->num_items(), log_q_),
              &threads_),
        gradient_(run->parameters().layout()),
        optimizer_(run->parameters().layout(), OptimizerOptionsOf(settings)) {
    if (run->state() != nullptr) Restore(*run->state());
    if (environment.collective != nullptr) {
      exchange_.emplace(environment.collective);
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
    if (!exchange_) return step_.ComputeGradient(batch, &gradient_);
    double loss = 0;
    if (batch.num_groups > 0) {
      loss = step_.ComputeGradient(batch, &gradient_);
    } else {
      gradient_.Clear();
    }
    const double weight = settings_.reduction == Reduction::kSum
                              ? 1
                              : static_cast<double>(batch.num_groups) /
                                    static_cast<double>(num_groups);
    return exchange_->Exchange(weight, loss, &gradient_);
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
  Run* const run_;
  ThreadPool threads_;
  const ItemBags item_bags_;
  const UserBags user_bags_;
  const std::vector<float> log_q_;
  BatchMaker maker_;
  BatchStream stream_;
  FusedStep step_;
  Gradient gradient_;
  Optimizer optimizer_;
  std::optional<GradientExchange> exchange_;
};

absl::StatusOr<TrainedModel> TrainByGradient(
    const TrainSettings& settings, uint64_t seed, const TrainingData& data,
    const TrainingEnvironment& environment, Run* run) {
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
                                         Run* run) {
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
    NEUMF_CHECK(settings.loss != "ials");
    std::optional<TrainingState> mine;
    if (start.state != nullptr) mine = *start.state;
    NEUMF_ASSIGN_OR_RETURN(shared, ShareState(mine, *environment.collective));
    start.state = shared ? &*shared : nullptr;
  }
  Run run(settings.epochs, std::move(start), environment, progress, epoch_done);
  return settings.loss == "ials"
             ? TrainByIals(settings, data, environment, &run)
             : TrainByGradient(settings, seed, data, environment, &run);
}

}  // namespace neumf
