#include "server/scoring_device.h"

#include <string>
#include <utility>

#include "tests/server/fake_gpu.h"
#include "tests/server/metric_reader.h"
#include "tests/server/test_snapshot.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::HasSubstr;

class ScoringDeviceTest : public testing::Test {
 protected:
  ScoringDeviceTest() {
    options_.gpu = gpu_.functions();
    tiny_ = MakeTinyModel({});
    served_ = MakeTestSnapshot(1);
  }

  absl::StatusOr<DeviceChoice> Choose(DeviceFlag flag) {
    options_.device = flag;
    return ChooseDevice(options_);
  }
  ScoringDevice Make(DeviceFlag flag) {
    options_.device = flag;
    return {options_, /*uses_gpu=*/true, &metrics_, [this] { ++num_losses_; }};
  }
  // Where a model lands beside `served`: "gpu", "cpu", or why it is refused.
  std::string Place(ScoringDevice& device, const Snapshot* served) const {
    const auto builder =
        device.TryGpu(2, tiny_.model.shape, tiny_.model.network, served);
    if (!builder.ok()) return std::string(builder.status().message());
    return *builder != nullptr ? "gpu" : "cpu";
  }

  FakeGpu gpu_;
  DeviceOptions options_;
  ServerMetrics metrics_;
  TinyModel tiny_;
  TestSnapshot served_;
  int num_losses_ = 0;
};

TEST_F(ScoringDeviceTest, TakesTheGpuThatIsThereAndNamesIt) {
  for (const DeviceFlag flag : {DeviceFlag::kAuto, DeviceFlag::kCuda}) {
    NEUMF_ASSERT_OK_AND_ASSIGN(const DeviceChoice choice, Choose(flag));
    EXPECT_TRUE(choice.uses_gpu);
    EXPECT_EQ(choice.reason, "Fake GPU, 400000 of 1000000 bytes free");
  }
}

TEST_F(ScoringDeviceTest, TakesTheCpuWhenAskedToAndWhenThereIsNoGpu) {
  NEUMF_ASSERT_OK_AND_ASSIGN(DeviceChoice choice, Choose(DeviceFlag::kCpu));
  EXPECT_FALSE(choice.uses_gpu);
  EXPECT_EQ(choice.reason, "--device=cpu");
  gpu_.SetFound(absl::UnavailableError("no driver"));
  NEUMF_ASSERT_OK_AND_ASSIGN(choice, Choose(DeviceFlag::kAuto));
  EXPECT_FALSE(choice.uses_gpu);
  EXPECT_EQ(choice.reason, "no driver");
}

TEST_F(ScoringDeviceTest, WhoAsksForAGpuGetsNoCpuInSilence) {
  gpu_.SetFound(absl::UnavailableError("no driver"));
  EXPECT_THAT(Choose(DeviceFlag::kCuda),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("--device=cuda: no driver")));
}

TEST_F(ScoringDeviceTest, SaysInOneLineWhatItChoseAndWhy) {
  testing::internal::CaptureStderr();
  LogChoice({false, "no driver"});
  EXPECT_THAT(
      testing::internal::GetCapturedStderr(),
      HasSubstr("event=device_chosen device=cpu reason=\"no driver\"\n"));
}

TEST_F(ScoringDeviceTest, AModelThatNoGpuTakesGoesToTheCpuUnlessForbidden) {
  gpu_.SetVerdict(absl::UnimplementedError("only ReLU"));
  ScoringDevice either = Make(DeviceFlag::kAuto);
  testing::internal::CaptureStderr();
  EXPECT_EQ(Place(either, nullptr), "cpu");
  EXPECT_THAT(
      testing::internal::GetCapturedStderr(),
      HasSubstr("event=checkpoint_on_cpu version=2 reason=\"only ReLU"));
  served_.snapshot->device_life = either.life();
  EXPECT_EQ(Place(either, served_.snapshot.get()), "cpu");
  ScoringDevice gpu = Make(DeviceFlag::kCuda);
  EXPECT_EQ(Place(gpu, nullptr), "only ReLU");
}

TEST_F(ScoringDeviceTest, AModelThatDoesNotFitDoesNotDriveTheServedOneOut) {
  gpu_.SetVerdict(absl::ResourceExhaustedError("needs 2 bytes, 1 is free"));
  ScoringDevice either = Make(DeviceFlag::kAuto);
  EXPECT_EQ(Place(either, nullptr), "cpu");
  EXPECT_EQ(Place(either, served_.snapshot.get()), "cpu");  // a CPU serves
  served_.snapshot->device_life = either.life();
  EXPECT_EQ(Place(either, served_.snapshot.get()), "needs 2 bytes, 1 is free");
  either.ReportError(0, absl::UnavailableError("gone"));
  NEUMF_ASSERT_OK(either.Renew());  // others took the memory meanwhile
  EXPECT_EQ(Place(either, served_.snapshot.get()), "cpu");
  ScoringDevice gpu = Make(DeviceFlag::kCuda);
  EXPECT_EQ(Place(gpu, nullptr), "needs 2 bytes, 1 is free");
}

TEST_F(ScoringDeviceTest, ALossIsCountedOnceHoweverManyReportIt) {
  ScoringDevice device = Make(DeviceFlag::kAuto);
  served_.snapshot->device_life = device.life();
  EXPECT_FALSE(device.IsDead(*served_.snapshot));
  for (int i = 0; i < 3; ++i) {
    device.ReportError(0, absl::UnavailableError("gone"));
  }
  device.ReportError(device.life(), absl::UnavailableError("still gone"));
  EXPECT_TRUE(device.lost());
  EXPECT_TRUE(device.IsDead(*served_.snapshot));
  EXPECT_EQ(num_losses_, 1);
  EXPECT_EQ(ReadMetric(metrics_, "neumf_device_errors_total"), 1);
}

TEST_F(ScoringDeviceTest, WhatDiedStaysDeadInTheNextLife) {
  ScoringDevice device = Make(DeviceFlag::kAuto);
  served_.snapshot->device_life = device.life();
  device.ReportError(0, absl::UnavailableError("gone"));
  NEUMF_ASSERT_OK(device.Renew());
  EXPECT_FALSE(device.lost());
  EXPECT_TRUE(device.IsDead(*served_.snapshot));
  device.ReportError(0, absl::UnavailableError("an old scorer, asked late"));
  EXPECT_FALSE(device.lost());
  served_.snapshot->device_life = device.life();
  EXPECT_FALSE(device.IsDead(*served_.snapshot));
}

TEST_F(ScoringDeviceTest, NothingIsPutOnALostGpu) {
  ScoringDevice device = Make(DeviceFlag::kAuto);
  device.ReportError(0, absl::UnavailableError("gone"));
  EXPECT_EQ(Place(device, nullptr), "the GPU is lost");
  gpu_.FailResets(1);
  EXPECT_FALSE(device.Renew().ok());
  EXPECT_TRUE(device.lost());
  NEUMF_EXPECT_OK(device.Renew());
  EXPECT_EQ(Place(device, nullptr), "gpu");
}

TEST_F(ScoringDeviceTest, LeavesTheGpuForGoodWhenToldTo) {
  options_.on_device_error = OnDeviceError::kCpu;
  ScoringDevice device = Make(DeviceFlag::kCuda);
  device.ReportMemory(nullptr);
  const MetricLabels total = {{"kind", "total"}};
  EXPECT_EQ(ReadMetric(metrics_, "neumf_gpu_memory_bytes", total), 1'000'000);
  device.ReportError(0, absl::UnavailableError("gone"));
  NEUMF_ASSERT_OK(device.Renew());
  EXPECT_FALSE(device.lost());
  EXPECT_EQ(gpu_.num_resets(), 0);
  EXPECT_EQ(Place(device, nullptr), "cpu");
  device.ReportMemory(nullptr);
  EXPECT_EQ(ReadMetric(metrics_, "neumf_gpu_memory_bytes", total), -1);
}

TEST_F(ScoringDeviceTest, AGpuThatIsLostWhileNobodyAsksIsReported) {
  ScoringDevice device = Make(DeviceFlag::kAuto);
  gpu_.SetFound(absl::UnavailableError("fell off the bus"));
  device.ReportMemory(nullptr);
  device.ReportMemory(served_.snapshot.get());  // a CPU serves
  EXPECT_FALSE(device.lost());
  served_.snapshot->device_life = device.life();
  device.ReportMemory(served_.snapshot.get());
  EXPECT_TRUE(device.IsDead(*served_.snapshot));
  EXPECT_EQ(num_losses_, 1);
}

TEST_F(ScoringDeviceTest, WhatTheCpuScoresNeverDies) {
  ScoringDevice device = Make(DeviceFlag::kAuto);
  device.ReportError(0, absl::UnavailableError("gone"));
  EXPECT_FALSE(device.IsDead(*served_.snapshot));
}

}  // namespace
}  // namespace neumf
