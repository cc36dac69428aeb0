// The whole trainer with an emulated GPU in the CPU's place.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_reader.h"
#include "scoring/cuda/device/device.h"
#include "tests/support/gpu_emulator/emulated_gpu.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/cuda/cuda_training.h"
#include "trainer/train_command.h"

namespace neumf {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::MatchesRegex;

absl::StatusOr<std::unique_ptr<TrainingDevice>> OpenEmulated() {
  absl::StatusOr<std::unique_ptr<cuda::Device>> device = cuda::Device::Open(0);
  if (!device.ok()) return device.status();
  return cuda::MakeTrainingDevice(*std::move(device));
}

class TrainOnDeviceTest : public testing::Test {
 protected:
  TrainOnDeviceTest() {
    NEUMF_EXPECT_OK(WriteFileAtomically(*files_, directory_.Path("u.data"),
                                        TinyDataText(MakeTinyLog(60, 80, 1))));
    options_.task.data.path = directory_.path();
    options_.task.data.format = "ml-100k";
    options_.recipe = *FindRecipe("ncf-neumf8");
    TrainSettings& settings = options_.recipe.settings();
    settings.factors = 4;
    settings.tower_factors = "6";
    settings.hidden = {6, 4};
    settings.batch_size = 64;
    settings.epochs = 4;
    settings.learning_rate = 0.02;
    options_.out = directory_.Path("checkpoints");
    environment_.files = files_.get();
    environment_.clock = clock_.get();
    environment_.devices.open = OpenEmulated;
  }

  absl::StatusOr<LoadedCheckpoint> TrainOn(DeviceChoice device) {
    options_.device = device;
    const auto path = Train(options_, environment_);
    if (!path.ok()) return path.status();
    return LoadCheckpoint(*files_, *path);
  }

  TrainSettings& settings() { return options_.recipe.settings(); }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  const std::unique_ptr<Clock> clock_ = MakeRealClock();
  TrainOptions options_;
  CommandEnvironment environment_;
};

std::vector<double> LossesOf(const LoadedCheckpoint& checkpoint) {
  return checkpoint.info.manifest.training["stages"].back()["losses"];
}

using Digests = std::map<std::string, std::vector<Sha256Digest>>;

Digests DigestsOf(const LoadedCheckpoint& checkpoint) {
  Digests digests;
  for (const auto& [name, digest] : checkpoint.info.manifest.tensors) {
    digests[name] = digest.sha256;
  }
  return digests;
}

std::string DeviceOf(const LoadedCheckpoint& checkpoint) {
  return checkpoint.info.manifest.training["device"];
}

TEST_F(TrainOnDeviceTest, LearnsWhatTheCpuLearns) {
  const cuda::EmulatedGpu gpu;
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint on_gpu,
                             TrainOn(DeviceChoice::kCuda));
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint on_cpu,
                             TrainOn(DeviceChoice::kCpu));
  EXPECT_EQ(DeviceOf(on_gpu), "emulated GPU");
  EXPECT_EQ(DeviceOf(on_cpu), "cpu");
  const std::vector<double> losses = LossesOf(on_gpu);
  const std::vector<double> wanted = LossesOf(on_cpu);
  ASSERT_EQ(losses.size(), 4);
  ASSERT_EQ(wanted.size(), 4);
  for (size_t epoch = 0; epoch < 4; ++epoch) {
    EXPECT_NEAR(losses[epoch], wanted[epoch], 1e-4) << epoch;
  }
  EXPECT_LT(losses.back(), losses.front());
}

TEST_F(TrainOnDeviceTest, AutoTakesTheDeviceForWhatItTrains) {
  const cuda::EmulatedGpu gpu;
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint trained,
                             TrainOn(DeviceChoice::kAuto));
  EXPECT_EQ(DeviceOf(trained), "emulated GPU");
  settings().dropout = 0.1;
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint other,
                             TrainOn(DeviceChoice::kAuto));
  EXPECT_EQ(DeviceOf(other), "cpu");
}

TEST_F(TrainOnDeviceTest, CudaPublishesNothingWithoutADevice) {
  EXPECT_THAT(TrainOn(DeviceChoice::kCuda).status(),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("--device cuda: no CUDA device")));
  const cuda::EmulatedGpu gpu;
  settings().dropout = 0.1;
  EXPECT_THAT(TrainOn(DeviceChoice::kCuda).status(),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("--dropout without a LibTorch that has")));
}

// As a server does that runs beside it.
TEST_F(TrainOnDeviceTest, AutoTakesTheCpuAndSaysWhyWhereOthersHoldTheMemory) {
  cuda::EmulatedGpu gpu;
  gpu.SetBytesOfOthers(cuda::GpuProperties().total_bytes - 1000);
  testing::internal::CaptureStderr();
  const auto trained = TrainOn(DeviceChoice::kAuto);
  const std::string log = testing::internal::GetCapturedStderr();
  NEUMF_ASSERT_OK(trained.status());
  EXPECT_EQ(DeviceOf(*trained), "cpu");
  EXPECT_THAT(log, ContainsRegex("training on the CPU: emulated GPU: training "
                                 "takes [0-9]+ bytes of the device, which has "
                                 "1000 free\n"));
}

TEST_F(TrainOnDeviceTest, CudaIsRefusedWhereOthersHoldTheMemory) {
  cuda::EmulatedGpu gpu;
  gpu.SetBytesOfOthers(cuda::GpuProperties().total_bytes - 1000);
  EXPECT_THAT(
      TrainOn(DeviceChoice::kCuda).status(),
      StatusIs(absl::StatusCode::kResourceExhausted,
               MatchesRegex("--device cuda: emulated GPU: training takes "
                            "[0-9]+ bytes of the device, which has 1000 "
                            "free")));
  EXPECT_EQ(gpu.num_allocations(), 0);
}

// LibTorch's CPU stands for its GPU: copies and all.
TEST_F(TrainOnDeviceTest, LibTorchTrainsWhatElseThereIs) {
  const cuda::EmulatedGpu gpu;
  environment_.devices.torch = "cpu";
  settings().loss = "bpr";
  settings().l2 = 0.01;
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint by_torch,
                             TrainOn(DeviceChoice::kCuda));
  EXPECT_EQ(DeviceOf(by_torch), "LibTorch's cpu");
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint on_cpu,
                             TrainOn(DeviceChoice::kCpu));
  const std::vector<double> losses = LossesOf(by_torch);
  const std::vector<double> wanted = LossesOf(on_cpu);
  ASSERT_EQ(losses.size(), 4);
  for (size_t epoch = 0; epoch < 4; ++epoch) {
    EXPECT_NEAR(losses[epoch], wanted[epoch], 1e-4) << epoch;
  }
}

TEST_F(TrainOnDeviceTest, GoesOnAfterTheDeviceWasLostButOnNoOther) {
  uint64_t num_commands = 0;
  Digests whole;
  {
    const cuda::EmulatedGpu gpu;
    NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint trained,
                               TrainOn(DeviceChoice::kCuda));
    whole = DigestsOf(trained);
    num_commands = gpu.num_commands();
  }
  options_.state = directory_.Path("state");
  {
    cuda::EmulatedGpu gpu;
    gpu.LoseFromCommand(num_commands * 3 / 4);
    EXPECT_THAT(TrainOn(DeviceChoice::kCuda).status(),
                StatusIs(absl::StatusCode::kUnavailable));
  }
  EXPECT_THAT(TrainOn(DeviceChoice::kCpu).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("the device was emulated GPU")));
  const cuda::EmulatedGpu gpu;
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint resumed,
                             TrainOn(DeviceChoice::kCuda));
  EXPECT_LT(gpu.num_commands(), num_commands);  // of the whole run
  EXPECT_EQ(DigestsOf(resumed), whole);
}

}  // namespace
}  // namespace neumf
