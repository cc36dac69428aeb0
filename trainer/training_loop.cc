#include "trainer/training_loop.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "trainer/adam.h"
#include "trainer/neumf_module.h"
#include "trainer/random.h"

namespace neumf {
namespace {

struct TrainPair {
  uint32_t user = 0;
  uint32_t item = 0;
};

std::vector<TrainPair> PairsOf(const Interactions& train) {
  std::vector<TrainPair> pairs;
  pairs.reserve(train.num_interactions());
  for (uint32_t user = 0; user < train.num_users(); ++user) {
    for (uint32_t item : train.row(user)) pairs.push_back({user, item});
  }
  return pairs;
}

void Shuffle(Random& random, std::vector<TrainPair>& pairs) {
  for (size_t left = pairs.size(); left > 1; --left) {
    std::swap(pairs[left - 1],
              pairs[random.Below(static_cast<uint32_t>(left))]);
  }
}

void FillBatch(absl::Span<const TrainPair> pairs, const PoolSampler& sampler,
               Random& random, PairBatch& batch) {
  batch.users.clear();
  batch.positives.clear();
  batch.negatives.clear();
  for (const TrainPair& pair : pairs) {
    batch.users.push_back(pair.user);
    batch.positives.push_back(pair.item);
    batch.negatives.push_back(sampler.Draw(pair.user, random));
  }
}

NeuMfShape ShapeOf(const TrainSettings& settings, const Interactions& train) {
  NeuMfShape shape;
  shape.num_users = train.num_users();
  shape.num_items = train.num_items();
  shape.factors = settings.factors;
  shape.tower_factors = settings.tower_factors;
  shape.hidden = settings.hidden;
  return shape;
}

AdamOptions OptimizerOf(const TrainSettings& settings) {
  AdamOptions options;
  options.learning_rate = settings.learning_rate;
  options.weight_decay = settings.weight_decay;
  return options;
}

bool IsSet(const std::atomic<bool>* flag) {
  return flag != nullptr && flag->load(std::memory_order_relaxed);
}

// One run: what changes from batch to batch.
class Run {
 public:
  Run(const TrainSettings& settings, uint64_t seed, const Interactions& train,
      const PoolSampler& sampler, const TrainingEnvironment& environment,
      ProgressCallback progress)
      : settings_(settings),
        sampler_(sampler),
        environment_(environment),
        progress_(progress),
        pairs_(PairsOf(train)),
        random_(seed),
        model_{NeuMfParameters(ShapeOf(settings, train)), {}, 0, {}},
        module_(&model_.parameters),
        adam_(model_.parameters.values().size(), OptimizerOf(settings)),
        start_(environment.clock->MonotonicNow()) {
    model_.parameters.Initialize(random_);
  }

  absl::StatusOr<TrainedModel> Train() && {
    for (uint32_t epoch = 1; epoch <= settings_.epochs; ++epoch) {
      if (IsSet(environment_.stop)) break;
      NEUMF_RETURN_IF_ERROR(TrainEpoch(epoch));
    }
    if (model_.epoch_losses.empty()) {
      return absl::CancelledError("stopped before the first epoch");
    }
    model_.duration = Elapsed();
    return std::move(model_);
  }

 private:
  absl::Duration Elapsed() const {
    return environment_.clock->MonotonicNow() - start_;
  }

  absl::Status TrainEpoch(uint32_t epoch) {
    TrainingProgress progress;
    progress.epoch = epoch;
    progress.num_epochs = settings_.epochs;
    progress.epoch_examples = pairs_.size();
    double loss_sum = 0;
    Shuffle(random_, pairs_);
    const absl::Span<const TrainPair> pairs(pairs_);
    while (!progress.epoch_done()) {
      FillBatch(pairs.subspan(progress.examples_done, settings_.batch_size),
                sampler_, random_, batch_);
      loss_sum += module_.ComputeBprGradient(batch_);
      if (!std::isfinite(loss_sum)) {
        return absl::InvalidArgumentError(
            absl::StrCat("the loss is not finite in epoch ", epoch,
                         ": try a lower learning rate"));
      }
      adam_.Step(module_.gradient(), model_.parameters.values());
      progress.examples_done += batch_.users.size();
      progress.mean_loss =
          loss_sum / static_cast<double>(progress.examples_done);
      progress.elapsed = Elapsed();
      progress_(progress);
    }
    model_.num_examples += pairs_.size();
    model_.epoch_losses.push_back(progress.mean_loss);
    return absl::OkStatus();
  }

  const TrainSettings& settings_;
  const PoolSampler& sampler_;
  const TrainingEnvironment& environment_;
  const ProgressCallback progress_;
  std::vector<TrainPair> pairs_;
  Random random_;
  TrainedModel model_;
  NeuMfModule module_;  // over the parameters of model_
  Adam adam_;
  PairBatch batch_;
  const absl::Duration start_;
};

}  // namespace

absl::StatusOr<TrainedModel> TrainNeuMf(const TrainSettings& settings,
                                        uint64_t seed,
                                        const Interactions& train,
                                        const PoolSampler& sampler,
                                        const TrainingEnvironment& environment,
                                        ProgressCallback progress) {
  if (train.num_interactions() == 0) {
    return absl::InvalidArgumentError("there is nothing to train on");
  }
  return Run(settings, seed, train, sampler, environment, progress).Train();
}

}  // namespace neumf
