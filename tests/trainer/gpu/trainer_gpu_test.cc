// Training on the first GPU: what it draws and computes is what the CPU does.
// Without a GPU all tests are skipped.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "scoring/cuda/device/device.h"
#include "tests/support/status_matchers.h"
#include "tests/trainer/cuda/device_world.h"
#include "trainer/cuda/device_step.h"
#include "trainer/cuda/training_device.h"

namespace neumf::cuda {
namespace {

using testing::ElementsAreArray;

class GpuEnvironment : public testing::Environment {
 public:
  void SetUp() override {
    const auto device = Device::Open(0);
    if (!device.ok()) {
      GTEST_SKIP() << "needs a GPU: " << device.status().message();
    }
  }
};

[[maybe_unused]] const testing::Environment* const kEnvironment =
    testing::AddGlobalTestEnvironment(new GpuEnvironment);

// Every value, up to `tolerance` of the largest of its block.
void ExpectNear(const ParameterLayout& layout, absl::Span<const float> actual,
                absl::Span<const float> expected, double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (const ParameterBlock* const block : layout.Blocks()) {
    float largest = 0;
    for (size_t i = 0; i < block->size(); ++i) {
      largest = std::max(largest, std::abs(expected[block->offset + i]));
    }
    for (size_t i = 0; i < block->size(); ++i) {
      const size_t at = block->offset + i;
      ASSERT_NEAR(actual[at], expected[at], tolerance * largest + 1e-12)
          << block->name << " number " << i;
    }
  }
}

// A step on the GPU beside the CPU's, in the same epoch.
class TrainerGpuTest : public testing::TestWithParam<NamedPlan> {
 protected:
  void SetUp() override {
    device_ = *Device::Open(0);
    NEUMF_ASSERT_OK(DeviceStep::CheckFits(*device_, plan(), world_.size()));
    const DeviceProgress start = DeviceWorld::RandomStart(plan().spec, 1);
    step_ = MakeStep(start);
    twin_ = std::make_unique<CpuTwin>(world_, plan(), start);
    twin_->StartEpoch(1);
  }

  const StepPlan& plan() const { return GetParam().plan; }
  std::unique_ptr<DeviceStep> MakeStep(const DeviceProgress& start) {
    auto step = DeviceStep::Create(*device_, plan(), world_.train(),
                                   world_.sequences());
    NEUMF_EXPECT_OK(step);
    NEUMF_EXPECT_OK((*step)->Write(start));
    NEUMF_EXPECT_OK((*step)->StartEpoch(1, world_.OrderOf(plan(), 1)));
    return *std::move(step);
  }

  DeviceWorld world_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<DeviceStep> step_;
  std::unique_ptr<CpuTwin> twin_;
};

TEST_P(TrainerGpuTest, DrawsAndComputesWhatTheCpuDoes) {
  ASSERT_EQ(step_->num_batches(), twin_->num_batches());
  for (uint64_t b = 0; b < step_->num_batches(); ++b) {
    NEUMF_ASSERT_OK(step_->QueueGradient(b));
    NEUMF_ASSERT_OK_AND_ASSIGN(const DeviceStep::Pairs pairs,
                               step_->ReadPairs());
    const Batch& batch = twin_->MakeBatch(b);
    EXPECT_THAT(pairs.users, ElementsAreArray(batch.users));
    EXPECT_THAT(pairs.items, ElementsAreArray(batch.items));
    NEUMF_ASSERT_OK_AND_ASSIGN(const std::vector<float> gradient,
                               step_->ReadGradient());
    twin_->ComputeGradient();
    ExpectNear(twin_->layout(), gradient, twin_->gradient(), 1e-5);
  }
}

TEST_P(TrainerGpuTest, LearnsAsTheCpuDoes) {
  const uint64_t count = std::min<uint64_t>(3, step_->num_batches());
  for (uint64_t b = 0; b < count; ++b) {
    NEUMF_ASSERT_OK(step_->QueueGradient(b));
    NEUMF_ASSERT_OK(step_->QueueUpdate(0.5));
    twin_->MakeBatch(b);
    twin_->ComputeGradient();
    twin_->Update(0.5);
  }
  DeviceProgress progress;
  NEUMF_ASSERT_OK(step_->Read(&progress));
  // Adam divides by the root of the moments: where a gradient is nearly 0 its
  // rounding moves a parameter as far as the rate.
  ExpectNear(twin_->layout(), progress.parameters, twin_->parameters(), 1e-3);
}

TEST_P(TrainerGpuTest, GivesTheSameBitsEachTime) {
  std::vector<std::vector<float>> runs;
  for (int run = 0; run < 3; ++run) {
    const auto step = MakeStep(DeviceWorld::RandomStart(plan().spec, 2));
    for (uint64_t b = 0; b < step->num_batches(); ++b) {
      NEUMF_ASSERT_OK(step->QueueGradient(b));
      NEUMF_ASSERT_OK(step->QueueUpdate(1));
      if (b % DeviceStep::kMaxQueued == DeviceStep::kMaxQueued - 1) {
        NEUMF_ASSERT_OK(step->Wait().status());
      }
    }
    DeviceProgress progress;
    NEUMF_ASSERT_OK(step->Read(&progress));
    runs.push_back(progress.parameters);
  }
  EXPECT_EQ(runs[0], runs[1]);
  EXPECT_EQ(runs[0], runs[2]);
}

INSTANTIATE_TEST_SUITE_P(AllPlans, TrainerGpuTest,
                         testing::ValuesIn(AllDevicePlans()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace neumf::cuda
