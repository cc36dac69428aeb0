#include "trainer/cuda/cuda_training.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/gpu_emulator/emulated_gpu.h"
#include "tests/support/status_matchers.h"
#include "tests/trainer/cuda/device_world.h"
#include "trainer/cuda/device_step.h"

namespace neumf::cuda {
namespace {

using testing::HasSubstr;

// Batches enough to wait for the device twice an epoch.
StepPlan SmallPlan() {
  StepPlan plan = NcfPlan();
  plan.batches.batch_size = 4;
  plan.schedule.kind = Schedule::Kind::kCosine;
  return plan;
}

void Ignore(uint64_t /*batches_done*/, uint64_t /*num_batches*/,
            double /*mean_loss*/) {}

std::unique_ptr<TrainingDevice> OpenEmulated() {
  return MakeTrainingDevice(*Device::Open(0));
}

class CudaTrainingTest : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<DeviceTraining>> Start(
      TrainingDevice& device, const DeviceProgress& start) {
    return device.Start(plan_, world_.train(), world_.sequences(), start);
  }

  const StepPlan plan_ = SmallPlan();
  const DeviceWorld world_;
  const DeviceProgress start_ = DeviceWorld::RandomStart(plan_.spec, 1);
};

TEST_F(CudaTrainingTest, TrainsEpochsAsTheCpuDoes) {
  const EmulatedGpu gpu;
  const auto device = OpenEmulated();
  NEUMF_ASSERT_OK_AND_ASSIGN(const auto training, Start(*device, start_));
  CpuTwin twin(world_, plan_, start_);
  for (uint32_t epoch = 1; epoch <= 2; ++epoch) {
    NEUMF_ASSERT_OK_AND_ASSIGN(const double loss,
                               training->TrainEpoch(epoch, Ignore));
    twin.StartEpoch(epoch);
    double loss_sum = 0;
    uint64_t num_groups = 0;
    const auto num_batches = static_cast<double>(twin.num_batches());
    for (uint64_t b = 0; b < twin.num_batches(); ++b) {
      const uint32_t groups = twin.MakeBatch(b).num_groups;
      loss_sum += twin.ComputeGradient() * groups;
      num_groups += groups;
      twin.Update(plan_.schedule.Scale(
          epoch - 1 + (static_cast<double>(b) + 0.5) / num_batches,
          plan_.num_epochs));
    }
    // Rounding grows with the steps.
    EXPECT_NEAR(loss, loss_sum / static_cast<double>(num_groups), 1e-4 * loss);
  }
}

TEST_F(CudaTrainingTest, TellsHowFarTheEpochIs) {
  const EmulatedGpu gpu;
  const auto device = OpenEmulated();
  NEUMF_ASSERT_OK_AND_ASSIGN(const auto training, Start(*device, start_));
  std::vector<uint64_t> done;
  double last_loss = 0;
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const double loss,
      training->TrainEpoch(
          1, [&](uint64_t batches_done, uint64_t num_batches, double mean) {
            done.push_back(batches_done);
            last_loss = mean;
            EXPECT_EQ(num_batches, 72);  // 286 events
          }));
  EXPECT_THAT(done, testing::ElementsAre(64, 72));
  EXPECT_EQ(last_loss, loss);
}

TEST_F(CudaTrainingTest, GoesOnWithTheBitsOfARunThatWasNotStopped) {
  const EmulatedGpu gpu;
  const auto device = OpenEmulated();
  DeviceProgress progress;
  {
    NEUMF_ASSERT_OK_AND_ASSIGN(const auto training, Start(*device, start_));
    NEUMF_ASSERT_OK(training->TrainEpoch(1, Ignore).status());
    NEUMF_ASSERT_OK(training->Read(&progress));
  }
  EXPECT_EQ(progress.num_steps, 72);
  NEUMF_ASSERT_OK_AND_ASSIGN(const auto whole, Start(*device, start_));
  NEUMF_ASSERT_OK_AND_ASSIGN(const auto resumed, Start(*device, progress));
  NEUMF_ASSERT_OK(whole->TrainEpoch(1, Ignore).status());
  for (uint32_t epoch = 2; epoch <= 3; ++epoch) {
    NEUMF_ASSERT_OK(whole->TrainEpoch(epoch, Ignore).status());
    NEUMF_ASSERT_OK(resumed->TrainEpoch(epoch, Ignore).status());
  }
  DeviceProgress of_whole;
  DeviceProgress of_resumed;
  NEUMF_ASSERT_OK(whole->Read(&of_whole));
  NEUMF_ASSERT_OK(resumed->Read(&of_resumed));
  EXPECT_EQ(of_whole.parameters, of_resumed.parameters);
  EXPECT_EQ(of_whole.first_moment, of_resumed.first_moment);
  EXPECT_EQ(of_whole.second_moment, of_resumed.second_moment);
  EXPECT_EQ(of_whole.num_steps, of_resumed.num_steps);
}

TEST_F(CudaTrainingTest, EndsAnEpochWhoseLossIsNotFinite) {
  const EmulatedGpu gpu;
  const auto device = OpenEmulated();
  DeviceProgress start = start_;
  start.parameters.back() = std::nanf("");  // the bias
  NEUMF_ASSERT_OK_AND_ASSIGN(const auto training, Start(*device, start));
  NEUMF_ASSERT_OK_AND_ASSIGN(const double loss,
                             training->TrainEpoch(1, Ignore));
  EXPECT_FALSE(std::isfinite(loss));
}

TEST_F(CudaTrainingTest, SaysWhoHasNoNegatives) {
  const EmulatedGpu gpu;
  const auto device = OpenEmulated();
  const Event event = {};
  const Interactions train(1, 1, {event});
  const ItemSequences sequences(1, std::vector<Event>{event});
  EXPECT_THAT(device->Start(plan_, train, sequences, start_).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("there is no negative to draw")));
}

TEST_F(CudaTrainingTest, RefusesATowerTooWideForTheDevice) {
  GpuProperties properties;
  properties.max_shared_bytes = 4 * 1024;
  const EmulatedGpu gpu(properties);
  EXPECT_THAT(OpenEmulated()->Check(plan_, world_.size()),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("emulated GPU holds 4096")));
}

TEST_F(CudaTrainingTest, RefusesARunForWhichOthersLeaveNoMemory) {
  const uint64_t total = GpuProperties().total_bytes;
  EmulatedGpu gpu;
  const auto device = OpenEmulated();
  const auto raw = *Device::Open(0);
  const uint64_t needed = DeviceStep::BytesNeeded(*raw, plan_, world_.size());
  gpu.SetBytesOfOthers(total - needed + 1);
  EXPECT_THAT(device->Check(plan_, world_.size()),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       absl::StrCat("emulated GPU: training takes ", needed,
                                    " bytes of the device, which has ",
                                    needed - 1, " free")));
  gpu.SetBytesOfOthers(total - needed);
  NEUMF_EXPECT_OK(device->Check(plan_, world_.size()));
  NEUMF_EXPECT_OK(Start(*device, start_));
}

TEST_F(CudaTrainingTest, RefusesMoreEventsThanItNumbers) {
  const EmulatedGpu gpu;
  TrainingSize size = world_.size();
  size.num_events = uint64_t{1} << 32;
  EXPECT_THAT(
      OpenEmulated()->Check(plan_, size),
      StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("2^32 events")));
}

// What a run takes that nothing goes wrong with.
absl::Status TrainAnEpoch(const StepPlan& plan, const DeviceWorld& world,
                          const DeviceProgress& start) {
  const auto device = OpenEmulated();
  const auto training =
      device->Start(plan, world.train(), world.sequences(), start);
  if (!training.ok()) return training.status();
  DeviceProgress progress;
  const auto loss = (*training)->TrainEpoch(1, Ignore);
  return loss.ok() ? (*training)->Read(&progress) : loss.status();
}

TEST_F(CudaTrainingTest, ToleratesEveryAllocationAndCommandThatFails) {
  uint64_t num_allocations = 0;
  uint64_t num_commands = 0;
  {
    const EmulatedGpu gpu;
    NEUMF_ASSERT_OK(TrainAnEpoch(plan_, world_, start_));
    num_allocations = gpu.num_allocations();
    num_commands = gpu.num_commands();
  }
  ASSERT_GT(num_allocations, 10);
  for (uint64_t nth = 1; nth <= num_allocations; ++nth) {
    EmulatedGpu gpu;
    gpu.FailAllocation(nth);
    EXPECT_THAT(TrainAnEpoch(plan_, world_, start_),
                StatusIs(absl::StatusCode::kResourceExhausted));
  }
  for (uint64_t nth = 1; nth <= num_commands; nth += 7) {
    EmulatedGpu gpu;
    gpu.LoseFromCommand(nth);
    EXPECT_THAT(TrainAnEpoch(plan_, world_, start_),
                StatusIs(absl::StatusCode::kUnavailable));
  }
}

}  // namespace
}  // namespace neumf::cuda
