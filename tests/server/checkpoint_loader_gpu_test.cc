// What the checkpoint loader leaves to a GPU, and what it says when there is no
// room on it or it fails.

#include <cstdint>
#include <memory>
#include <optional>

#include "tests/server/checkpoint_loader_fixture.h"
#include "tests/server/fake_gpu.h"
#include "tests/server/metric_reader.h"

namespace neumf {
namespace {

class LoaderGpuTest : public CheckpointLoaderTest {
 protected:
  void UseGpu(DeviceFlag flag) {
    device_.device = flag;
    device_.gpu = gpu_.functions();
    uses_gpu_ = true;
  }

  FakeGpu gpu_;
};

TEST_F(LoaderGpuTest, AGpuTakesWhatItCan) {
  UseGpu(DeviceFlag::kCuda);
  Manifest manifest;
  manifest.probes = ProbesOf(1);
  folder_.Publish(1, manifest);
  const std::unique_ptr<Snapshot> snapshot = LoadOk(1);
  EXPECT_THAT(snapshot->scorer->name(), testing::StartsWith("cuda"));
  EXPECT_EQ(snapshot->device_life, 0U);
}

TEST_F(LoaderGpuTest, WhatAGpuCannotTakeIsRefusedWithItsReason) {
  UseGpu(DeviceFlag::kCuda);
  folder_.Publish(1);
  gpu_.SetVerdict(absl::UnimplementedError("only ReLU"));
  ExpectRefused(Load(1), ReloadResult::kIncompatible, "only ReLU");
  gpu_.SetVerdict(absl::ResourceExhaustedError("needs 2 bytes, 1 is free"));
  ExpectRefused(Load(1), ReloadResult::kNoMemory,
                folder_.File(1).path + ": needs 2 bytes, 1 is free");
}

TEST_F(LoaderGpuTest, TheCpuTakesWhatTheGpuDoesNotWhenItMayBeEither) {
  UseGpu(DeviceFlag::kAuto);
  folder_.Publish(1);
  gpu_.SetVerdict(absl::UnimplementedError("only ReLU"));
  const std::unique_ptr<Snapshot> snapshot = LoadOk(1);
  EXPECT_THAT(snapshot->scorer->name(), testing::StartsWith("cpu"));
  EXPECT_EQ(snapshot->device_life, std::nullopt);
}

TEST_F(LoaderGpuTest, TheCpuTakesWhatTheGpuFindsNoMemoryForMeanwhile) {
  folder_.Publish(1);
  const absl::Status full = absl::ResourceExhaustedError("none is left");
  for (const auto fail : {&FakeGpu::FailNextAdd, &FakeGpu::FailNextBuild}) {
    UseGpu(DeviceFlag::kAuto);
    (gpu_.*fail)(full);
    const std::unique_ptr<Snapshot> snapshot = LoadOk(1);
    EXPECT_THAT(snapshot->scorer->name(), testing::StartsWith("cpu"));
    EXPECT_EQ(snapshot->device_life, std::nullopt);
    UseGpu(DeviceFlag::kCuda);
    (gpu_.*fail)(full);
    ExpectRefused(Load(1), ReloadResult::kNoMemory, "none is left");
  }
}

TEST_F(LoaderGpuTest, AGpuThatFailsMeanwhileIsLostAndSaysSo) {
  UseGpu(DeviceFlag::kAuto);
  folder_.Publish(1);
  gpu_.BreakNextBuild();
  ExpectRefused(Load(1), ReloadResult::kDeviceError,
                "the GPU failed: an illegal memory access");
  ExpectRefused(Load(1), ReloadResult::kDeviceError, "the GPU failed");
  EXPECT_EQ(ReadMetric(metrics_, "neumf_device_errors_total"), 2);
}

TEST_F(LoaderGpuTest, RoomIsMadeOnTheGpuToo) {
  UseGpu(DeviceFlag::kCuda);
  folder_.Publish(1);
  gpu_.SetVerdict(absl::ResourceExhaustedError("needs 2 bytes, 1 is free"));
  const auto make_room = [&] {
    gpu_.SetVerdict(absl::OkStatus());
    return true;
  };
  ScoringDevice device(device_, uses_gpu_, &metrics_, [] {});
  const CheckpointLoader loader(&files_, options_, &device, &metrics_);
  LoadRequest request{folder_.File(1)};
  request.make_room = make_room;
  const LoadOutcome outcome = loader.Load(request);
  EXPECT_EQ(outcome.result, ReloadResult::kOk) << outcome.reason;
}

TEST_F(LoaderGpuTest, SaysWhetherTheGpuHadRoomWithoutWhatIsServed) {
  UseGpu(DeviceFlag::kCuda);
  folder_.Publish(1);
  folder_.Publish(2);
  gpu_.SetBytesNeeded(FakeGpu::kFreeBytes);  // as many as are free beside it
  ScoringDevice device(device_, uses_gpu_, &metrics_, [] {});
  const CheckpointLoader loader(&files_, options_, &device, &metrics_);
  const LoadOutcome served = loader.Load({folder_.File(1)});
  ASSERT_NE(served.snapshot, nullptr);
  const auto fits_alone = [&](uint64_t bytes, const absl::Status& verdict) {
    gpu_.SetBytesNeeded(bytes);
    gpu_.SetVerdict(verdict);
    const LoadOutcome outcome =
        loader.Load({folder_.File(2), served.snapshot.get()});
    EXPECT_EQ(outcome.snapshot, nullptr);
    return outcome.fits_alone;
  };
  const absl::Status full = absl::ResourceExhaustedError("no room");
  EXPECT_TRUE(fits_alone(2 * FakeGpu::kFreeBytes, full));
  EXPECT_FALSE(fits_alone(2 * FakeGpu::kFreeBytes + 1, full));
  EXPECT_FALSE(fits_alone(1, absl::UnimplementedError("only ReLU")));
  gpu_.SetFound(absl::UnavailableError("gone"));
  EXPECT_FALSE(fits_alone(1, full));
  device.ReportError(device.life(), absl::UnavailableError("gone"));
  EXPECT_FALSE(fits_alone(1, full));
}

}  // namespace
}  // namespace neumf
