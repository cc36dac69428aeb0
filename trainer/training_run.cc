#include "trainer/training_run.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "trainer/distributed/agreement.h"

namespace neumf {
namespace {

bool IsSet(const std::atomic<bool>* flag) {
  return flag != nullptr && flag->load(std::memory_order_relaxed);
}

}  // namespace

TrainingRun::TrainingRun(uint32_t num_epochs, TrainingStart start,
                         const TrainingEnvironment& environment,
                         ProgressCallback progress, EpochCallback epoch_done)
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

absl::StatusOr<TrainedModel> TrainingRun::Train(
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

void TrainingRun::Tell(uint32_t epoch, uint64_t done, uint64_t total,
                       double mean_loss) {
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

absl::StatusOr<bool> TrainingRun::EndEpoch(uint32_t epoch,
                                           AddToState add_to_state) {
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

absl::StatusOr<bool> TrainingRun::TellOfEpoch(uint32_t epoch,
                                              AddToState add_to_state) {
  const auto copy_state = [&] {
    TrainingState state;
    state.epoch_losses = model_.epoch_losses;
    state.num_examples = model_.num_examples;
    state.duration = model_.duration;
    const absl::Span<const float> values = parameters().values();
    state.parameters.assign(values.begin(), values.end());
    add_to_state(&state);
    return state;
  };
  return epoch_done_({epoch, parameters(), copy_state});
}

}  // namespace neumf
