#include "trainer/cuda/cuda_training.h"

#include <algorithm>
#include <cmath>
#include <future>
#include <numeric>
#include <utility>

#include "base/status_macros.h"
#include "trainer/cuda/device_step.h"
#include "trainer/step/epoch_order.h"

namespace neumf::cuda {
namespace {

// The order of an epoch is made by a thread of its own during the one before:
// shuffling takes as long as a GPU takes for a good part of the epoch.
class EpochOrders {
 public:
  EpochOrders(uint64_t seed, uint64_t num_events, uint32_t num_epochs)
      : seed_(seed), num_events_(num_events), num_epochs_(num_epochs) {}

  std::vector<uint32_t> Take(uint32_t epoch) {
    std::vector<uint32_t> order =
        next_.valid() && next_epoch_ == epoch ? next_.get() : Make(epoch);
    next_epoch_ = epoch + 1;
    if (next_epoch_ <= num_epochs_) {
      next_ = std::async(std::launch::async,
                         [this, next = next_epoch_] { return Make(next); });
    }
    return order;
  }

 private:
  std::vector<uint32_t> Make(uint32_t epoch) const {
    std::vector<uint32_t> order(num_events_);
    std::iota(order.begin(), order.end(), 0U);
    ShuffleForEpoch(seed_, epoch, &order);
    return order;
  }

  const uint64_t seed_;
  const uint64_t num_events_;
  const uint32_t num_epochs_;
  uint32_t next_epoch_ = 0;
  std::future<std::vector<uint32_t>> next_;  // waits in its destructor
};

class CudaTraining : public DeviceTraining {
 public:
  CudaTraining(const StepPlan& plan, uint64_t num_events,
               std::unique_ptr<DeviceStep> step)
      : plan_(plan),
        step_(std::move(step)),
        orders_(plan.batches.seed, num_events, plan.num_epochs) {}

  absl::StatusOr<double> TrainEpoch(uint32_t epoch, Tell tell) override {
    NEUMF_RETURN_IF_ERROR(step_->StartEpoch(epoch, orders_.Take(epoch)));
    const uint64_t num_batches = step_->num_batches();
    double loss_sum = 0;
    uint64_t groups_done = 0;
    for (uint64_t first = 0; first < num_batches;
         first += DeviceStep::kMaxQueued) {
      const uint64_t end =
          std::min<uint64_t>(num_batches, first + DeviceStep::kMaxQueued);
      for (uint64_t number = first; number < end; ++number) {
        NEUMF_RETURN_IF_ERROR(step_->QueueGradient(number));
        NEUMF_RETURN_IF_ERROR(step_->QueueUpdate(RateScale(epoch, number)));
        groups_done += step_->num_groups(number);
      }
      NEUMF_ASSIGN_OR_RETURN(const std::vector<double> losses, step_->Wait());
      for (const double loss : losses) loss_sum += loss;
      tell(end, num_batches, loss_sum / static_cast<double>(groups_done));
      if (!std::isfinite(loss_sum)) break;
    }
    return loss_sum / static_cast<double>(groups_done);
  }

  absl::Status Read(DeviceProgress* progress) override {
    return step_->Read(progress);
  }

 private:
  // At the middle of the batch, as on the CPU.
  double RateScale(uint32_t epoch, uint64_t number) const {
    const double epochs_done = epoch - 1 +
                               (static_cast<double>(number) + 0.5) /
                                   static_cast<double>(step_->num_batches());
    return plan_.schedule.Scale(epochs_done, plan_.num_epochs);
  }

  const StepPlan plan_;
  const std::unique_ptr<DeviceStep> step_;
  EpochOrders orders_;
};

class CudaTrainingDevice : public TrainingDevice {
 public:
  explicit CudaTrainingDevice(std::unique_ptr<Device> device)
      : device_(std::move(device)) {}

  const std::string& name() const override { return device_->name(); }

  absl::Status Check(const StepPlan& plan,
                     const TrainingSize& size) const override {
    NEUMF_RETURN_IF_ERROR(CheckDeviceTrains(plan));
    return DeviceStep::CheckFits(*device_, plan, size);
  }

  absl::StatusOr<std::unique_ptr<DeviceTraining>> Start(
      const StepPlan& plan, const Interactions& train,
      const ItemSequences& sequences, const DeviceProgress& start) override {
    // It says who has no negatives.
    NEUMF_RETURN_IF_ERROR(
        NegativeSampler::Create(plan.sampler, train, {}).status());
    NEUMF_ASSIGN_OR_RETURN(
        std::unique_ptr<DeviceStep> step,
        DeviceStep::Create(*device_, plan, train, sequences));
    NEUMF_RETURN_IF_ERROR(step->Write(start));
    return std::make_unique<CudaTraining>(plan, sequences.num_events(),
                                          std::move(step));
  }

 private:
  const std::unique_ptr<Device> device_;
};

}  // namespace

std::unique_ptr<TrainingDevice> MakeTrainingDevice(
    std::unique_ptr<Device> device) {
  return std::make_unique<CudaTrainingDevice>(std::move(device));
}

}  // namespace neumf::cuda
