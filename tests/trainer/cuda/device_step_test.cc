#include "trainer/cuda/device_step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/gpu_emulator/emulated_gpu.h"
#include "tests/support/status_matchers.h"
#include "tests/trainer/cuda/device_world.h"

namespace neumf::cuda {
namespace {

using testing::ElementsAreArray;

float LargestOf(absl::Span<const float> values) {
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  return largest;
}

// Every value, up to `tolerance` of the largest of its block.
void ExpectNear(const ParameterLayout& layout, absl::Span<const float> actual,
                absl::Span<const float> expected, double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (const ParameterBlock* const block : layout.Blocks()) {
    const float largest =
        LargestOf(expected.subspan(block->offset, block->size()));
    for (size_t i = 0; i < block->size(); ++i) {
      const size_t at = block->offset + i;
      ASSERT_NEAR(actual[at], expected[at], tolerance * largest + 1e-12)
          << block->name << " row " << i / block->cols << " column "
          << i % block->cols;
    }
  }
}

// The emulated GPU with one step on it.
class OnDevice {
 public:
  OnDevice(const DeviceWorld& world, const StepPlan& plan,
           const DeviceProgress& start, GpuProperties properties = {})
      : gpu_(std::move(properties)) {
    device_ = *Device::Open(0);
    NEUMF_EXPECT_OK(DeviceStep::CheckFits(*device_, plan, world.size()));
    step_ =
        *DeviceStep::Create(*device_, plan, world.train(), world.sequences());
    NEUMF_EXPECT_OK(step_->Write(start));
    NEUMF_EXPECT_OK(step_->StartEpoch(1, world.OrderOf(plan, 1)));
  }

  DeviceStep& operator*() { return *step_; }
  DeviceStep* operator->() { return step_.get(); }

  const EmulatedGpu& gpu() const { return gpu_; }
  Device& device() { return *device_; }

 private:
  EmulatedGpu gpu_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<DeviceStep> step_;
};

class DeviceStepTest : public testing::TestWithParam<NamedPlan> {
 protected:
  const StepPlan& plan() const { return GetParam().plan; }
  DeviceWorld world_;
};

TEST_P(DeviceStepTest, DrawsWhatTheCpuDraws) {
  const DeviceProgress start = DeviceWorld::RandomStart(plan().spec, 1);
  OnDevice step(world_, plan(), start);
  CpuTwin twin(world_, plan(), start);
  twin.StartEpoch(1);
  ASSERT_EQ(step->num_batches(), twin.num_batches());
  for (uint64_t b = 0; b < step->num_batches(); ++b) {
    NEUMF_ASSERT_OK(step->QueueGradient(b));
    NEUMF_ASSERT_OK_AND_ASSIGN(const DeviceStep::Pairs pairs,
                               step->ReadPairs());
    const Batch& batch = twin.MakeBatch(b);
    EXPECT_THAT(pairs.users, ElementsAreArray(batch.users));
    EXPECT_THAT(pairs.items, ElementsAreArray(batch.items));
  }
}

TEST_P(DeviceStepTest, TakesTheMemoryThatItSaysItNeeds) {
  const DeviceProgress start = DeviceWorld::RandomStart(plan().spec, 1);
  OnDevice step(world_, plan(), start);
  EXPECT_EQ(DeviceStep::BytesNeeded(step.device(), plan(), world_.size()),
            step.gpu().live_bytes(Memory::Place::kDevice) +
                DeviceStep::kReserveBytes);
}

TEST_P(DeviceStepTest, ComputesTheGradientOfTheCpu) {
  const DeviceProgress start = DeviceWorld::RandomStart(plan().spec, 2);
  OnDevice step(world_, plan(), start);
  CpuTwin twin(world_, plan(), start);
  twin.StartEpoch(1);
  // The last batch is a smaller one.
  const uint64_t last = step->num_batches() - 1;
  NEUMF_ASSERT_OK(step->QueueGradient(last));
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::vector<float> gradient,
                             step->ReadGradient());
  twin.MakeBatch(last);
  double loss = twin.ComputeGradient();
  ExpectNear(twin.layout(), gradient, twin.gradient(), 1e-5);

  NEUMF_ASSERT_OK(step->QueueUpdate(1));
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::vector<double> losses, step->Wait());
  ASSERT_EQ(losses.size(), 1);
  if (!plan().step.sum_over_groups) {
    loss *= static_cast<double>(step->num_groups(last));
  }
  EXPECT_NEAR(losses[0], loss, 1e-6 * loss);
}

TEST_P(DeviceStepTest, LearnsAsTheCpuDoes) {
  const DeviceProgress start = DeviceWorld::RandomStart(plan().spec, 3);
  OnDevice step(world_, plan(), start);
  CpuTwin twin(world_, plan(), start);
  twin.StartEpoch(1);
  const uint64_t count = std::min<uint64_t>(3, step->num_batches());
  for (uint64_t b = 0; b < count; ++b) {
    NEUMF_ASSERT_OK(step->QueueGradient(b));
    NEUMF_ASSERT_OK(step->QueueUpdate(0.5));
    twin.MakeBatch(b);
    twin.ComputeGradient();
    twin.Update(0.5);
  }
  DeviceProgress progress;
  NEUMF_ASSERT_OK(step->Read(&progress));
  EXPECT_EQ(progress.num_steps, count);
  // Adam divides by the root of the moments: where a gradient is nearly 0 its
  // rounding moves a parameter as far as the rate.
  ExpectNear(twin.layout(), progress.parameters, twin.parameters(), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(AllPlans, DeviceStepTest,
                         testing::ValuesIn(AllDevicePlans()),
                         [](const auto& test) { return test.param.name; });

class DeviceOptimizerTest : public testing::TestWithParam<OptimizerOptions> {};

TEST_P(DeviceOptimizerTest, MovesParametersAsTheCpuDoes) {
  const DeviceWorld world;
  StepPlan plan = NcfPlan();
  plan.optimizer = GetParam();
  const DeviceProgress start = DeviceWorld::RandomStart(plan.spec, 4);
  OnDevice step(world, plan, start);
  CpuTwin twin(world, plan, start);
  twin.StartEpoch(1);
  for (uint64_t b = 0; b < 2; ++b) {
    NEUMF_ASSERT_OK(step->QueueGradient(b));
    NEUMF_ASSERT_OK(step->QueueUpdate(1));
    twin.MakeBatch(b);
    twin.ComputeGradient();
    twin.Update(1);
  }
  DeviceProgress progress;
  NEUMF_ASSERT_OK(step->Read(&progress));
  ExpectNear(twin.layout(), progress.parameters, twin.parameters(), 1e-4);
}

std::vector<OptimizerOptions> AllOptimizers() {
  std::vector<OptimizerOptions> all;
  for (const OptimizerKind kind :
       {OptimizerKind::kSgd, OptimizerKind::kAdagrad, OptimizerKind::kRmsprop,
        OptimizerKind::kAdam, OptimizerKind::kAdamW}) {
    OptimizerOptions options;
    options.kind = kind;
    options.learning_rate = kind == OptimizerKind::kSgd ? 0.5 : 0.01;
    // What is divided by the root of a tiny gradient tells of its rounding.
    options.epsilon = 1e-3;
    all.push_back(options);
    options.weight_decay = 0.1;
    if (kind == OptimizerKind::kSgd || kind == OptimizerKind::kRmsprop) {
      options.momentum = 0.9;
    }
    all.push_back(options);
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(
    All, DeviceOptimizerTest, testing::ValuesIn(AllOptimizers()),
    [](const auto& test) {
      return std::string(OptimizerKindName(test.param.kind)) +
             (test.param.weight_decay > 0 ? "WithDecay" : "");
    });

// The parameters after two steps.
std::vector<float> BitsOn(const StepPlan& plan, GpuProperties properties) {
  const DeviceWorld world;
  OnDevice step(world, plan, DeviceWorld::RandomStart(plan.spec, 5),
                std::move(properties));
  for (uint64_t b = 0; b < 2; ++b) {
    NEUMF_EXPECT_OK(step->QueueGradient(b));
    NEUMF_EXPECT_OK(step->QueueUpdate(1));
  }
  DeviceProgress progress;
  NEUMF_EXPECT_OK(step->Read(&progress));
  return progress.parameters;
}

TEST(DeviceStepBitsTest, DoNotDependOnWhichThreadRunsWhen) {
  // The weights in shared memory, and in global memory.
  for (const StepPlan& plan : {NcfPlan(), LargePlan()}) {
    const std::vector<float> bits = BitsOn(plan, {});
    for (const Order order : {Order::kDescending, Order::kShuffled}) {
      GpuProperties properties;
      properties.emulation.order = order;
      EXPECT_EQ(BitsOn(plan, properties), bits);
    }
    GpuProperties late;
    late.runs_late = true;
    EXPECT_EQ(BitsOn(plan, late), bits);
  }
}

// A device with less shared memory takes smaller tiles, or leaves the tower in
// global memory: how the tower of the NCF recipe fits, and how it does not.
class DeviceTileTest : public testing::TestWithParam<uint32_t> {};

TEST_P(DeviceTileTest, ComputesTheGradientWhateverFits) {
  const DeviceWorld world;
  const StepPlan plan = NcfPlan();
  const DeviceProgress start = DeviceWorld::RandomStart(plan.spec, 8);
  GpuProperties properties;
  properties.max_shared_bytes = GetParam();
  OnDevice step(world, plan, start, properties);
  CpuTwin twin(world, plan, start);
  twin.StartEpoch(1);
  for (uint64_t b = 0; b < 2; ++b) {
    // Twice, so that nothing stays of the batch before.
    NEUMF_ASSERT_OK(step->QueueGradient(b));
    NEUMF_ASSERT_OK_AND_ASSIGN(const std::vector<float> gradient,
                               step->ReadGradient());
    twin.MakeBatch(b);
    twin.ComputeGradient();
    ExpectNear(twin.layout(), gradient, twin.gradient(), 1e-5);
    NEUMF_ASSERT_OK(step->QueueUpdate(0));
  }
}

INSTANTIATE_TEST_SUITE_P(SharedBytes, DeviceTileTest,
                         testing::Values(48'000, 40'000, 30'000, 16'000,
                                         8'000));

TEST(DeviceTileTest, RefusesATowerOfWhichNotEvenTheValuesFit) {
  GpuProperties properties;
  properties.max_shared_bytes = 4'000;
  EmulatedGpu gpu(properties);
  NEUMF_ASSERT_OK_AND_ASSIGN(const auto device, Device::Open(0));
  EXPECT_THAT(DeviceStep::CheckFits(*device, NcfPlan(), {}),
              StatusIs(absl::StatusCode::kUnimplemented,
                       testing::HasSubstr("emulated GPU holds 4000")));
}

TEST(DeviceStepLimitsTest, TellsALossThatIsNotFiniteOfTermsOutOfBounds) {
  const DeviceWorld world;
  const StepPlan plan = NcfPlan();
  DeviceProgress start = DeviceWorld::RandomStart(plan.spec, 6);
  const ParameterLayout layout(plan.spec);
  // A gradient of a thousand, which a cell takes no more.
  std::fill_n(start.parameters.begin() +
                  static_cast<std::ptrdiff_t>(layout.user_gmf.offset),
              layout.user_gmf.size(), 1e4F);
  OnDevice step(world, plan, start);
  NEUMF_ASSERT_OK(step->QueueGradient(0));
  NEUMF_ASSERT_OK(step->QueueUpdate(1));
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::vector<double> losses, step->Wait());
  EXPECT_FALSE(std::isfinite(losses.at(0)));
}

TEST(DeviceStepLimitsTest, TellsALossThatIsNotFiniteOfNan) {
  const DeviceWorld world;
  const StepPlan plan = NcfPlan();
  DeviceProgress start = DeviceWorld::RandomStart(plan.spec, 7);
  const ParameterLayout layout(plan.spec);
  start.parameters[layout.first_bias.offset] = std::nanf("");
  OnDevice step(world, plan, start);
  NEUMF_ASSERT_OK(step->QueueGradient(0));
  NEUMF_ASSERT_OK(step->QueueUpdate(1));
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::vector<double> losses, step->Wait());
  EXPECT_FALSE(std::isfinite(losses.at(0)));
}

}  // namespace
}  // namespace neumf::cuda
