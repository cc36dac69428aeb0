#include "trainer/device_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsNull;
using testing::NotNull;
using testing::StartsWith;

// A device that checks and does nothing else.
class FakeDevice : public TrainingDevice {
 public:
  explicit FakeDevice(absl::Status verdict) : verdict_(std::move(verdict)) {}

  const std::string& name() const override { return name_; }
  absl::Status Check(const StepPlan& plan,
                     const TrainingSize& /*size*/) const override {
    NEUMF_RETURN_IF_ERROR(CheckDeviceTrains(plan));
    return verdict_;
  }
  absl::StatusOr<std::unique_ptr<DeviceTraining>> Start(
      const StepPlan& /*plan*/, const Interactions& /*train*/,
      const ItemSequences& /*sequences*/,
      const DeviceProgress& /*start*/) override {
    return absl::UnimplementedError("a fake");
  }

 private:
  const std::string name_ = "fake GPU";
  const absl::Status verdict_;
};

absl::StatusOr<std::unique_ptr<TrainingDevice>> OpenNone() {
  return absl::UnavailableError("no CUDA device: none was asked for");
}
absl::StatusOr<std::unique_ptr<TrainingDevice>> OpenFake() {
  return std::make_unique<FakeDevice>(absl::OkStatus());
}
absl::StatusOr<std::unique_ptr<TrainingDevice>> OpenSmall() {
  return std::make_unique<FakeDevice>(absl::UnimplementedError("too small"));
}

absl::StatusOr<std::unique_ptr<TrainingDevice>> OpenFull() {
  return std::make_unique<FakeDevice>(absl::ResourceExhaustedError("full"));
}

StepPlan TrainedPlan() {
  StepPlan plan;
  plan.spec.factors = 8;
  plan.step.loss.kind = LossKind::kBce;
  return plan;
}
StepPlan UntrainedPlan() {
  StepPlan plan = TrainedPlan();
  plan.step.dropout = 0.5;
  return plan;
}

const std::vector<PlannedStage> kTrained = {{"neumf", TrainedPlan()}};
const std::vector<PlannedStage> kUntrained = {{"gmf", TrainedPlan()},
                                              {"neumf", UntrainedPlan()}};
const std::vector<PlannedStage> kIalsStage = {{"mf", std::nullopt}};

absl::StatusOr<ChosenDevice> Choose(DeviceChoice choice,
                                    const std::vector<PlannedStage>& stages,
                                    const OpenDevice& open,
                                    const std::string& torch = "") {
  return ChooseDevice(choice, stages, {open, torch});
}

TEST(DeviceChoiceTest, ReadsTheFlag) {
  EXPECT_THAT(ParseDeviceChoice("auto"), IsOkAndHolds(DeviceChoice::kAuto));
  EXPECT_THAT(ParseDeviceChoice("cpu"), IsOkAndHolds(DeviceChoice::kCpu));
  EXPECT_THAT(ParseDeviceChoice("cuda"), IsOkAndHolds(DeviceChoice::kCuda));
  EXPECT_THAT(ParseDeviceChoice("gpu"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("auto, cpu, cuda")));
}

TEST(DeviceChoiceTest, CpuLooksForNoDevice) {
  const auto open = []() -> absl::StatusOr<std::unique_ptr<TrainingDevice>> {
    ADD_FAILURE() << "opened";
    return OpenNone();
  };
  NEUMF_ASSERT_OK_AND_ASSIGN(const ChosenDevice chosen,
                             Choose(DeviceChoice::kCpu, kTrained, open));
  EXPECT_THAT(chosen.device, IsNull());
  EXPECT_THAT(chosen.why, IsEmpty());
}

TEST(DeviceChoiceTest, CudaAndAutoTakeADeviceThatTrainsAllStages) {
  for (const DeviceChoice choice : {DeviceChoice::kAuto, DeviceChoice::kCuda}) {
    NEUMF_ASSERT_OK_AND_ASSIGN(const ChosenDevice chosen,
                               Choose(choice, kTrained, OpenFake));
    ASSERT_THAT(chosen.device, NotNull());
    EXPECT_EQ(chosen.device->name(), "fake GPU");
  }
}

TEST(DeviceChoiceTest, CudaNeverFallsBack) {
  EXPECT_THAT(Choose(DeviceChoice::kCuda, kTrained, OpenNone).status(),
              StatusIs(absl::StatusCode::kUnavailable,
                       "--device cuda: no CUDA device: none was asked for"));
  EXPECT_THAT(Choose(DeviceChoice::kCuda, kTrained, OpenSmall).status(),
              StatusIs(absl::StatusCode::kUnimplemented,
                       "--device cuda: too small without a LibTorch that has "
                       "CUDA; --device cpu does"));
  EXPECT_THAT(
      Choose(DeviceChoice::kCuda, kIalsStage, OpenFake).status(),
      StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("--loss ials")));
}

// LibTorch would want as much of the memory.
TEST(DeviceChoiceTest, CudaRefusesADeviceWithoutTheMemory) {
  EXPECT_THAT(
      Choose(DeviceChoice::kCuda, kTrained, OpenFull, "cuda").status(),
      StatusIs(absl::StatusCode::kResourceExhausted, "--device cuda: full"));
}

TEST(DeviceChoiceTest, CudaLeavesToLibTorchWhatOnlyThatTrains) {
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const ChosenDevice left,
      Choose(DeviceChoice::kCuda, kUntrained, OpenFake, "cuda"));
  EXPECT_THAT(left.device, IsNull());
  EXPECT_EQ(left.torch, "cuda");
  EXPECT_EQ(left.name(), "LibTorch's cuda");
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const ChosenDevice kept,
      Choose(DeviceChoice::kCuda, kTrained, OpenFake, "cuda"));
  EXPECT_THAT(kept.device, NotNull());
  EXPECT_THAT(
      Choose(DeviceChoice::kCuda, kIalsStage, OpenFake, "cuda").status(),
      StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("--loss ials")));
  // LibTorch is no match for the CPU's own steps in small batches.
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const ChosenDevice automatic,
      Choose(DeviceChoice::kAuto, kUntrained, OpenFake, "cuda"));
  EXPECT_EQ(automatic.name(), kCpuName);
}

TEST(DeviceChoiceTest, CudaNamesTheStageThatNoDeviceTrains) {
  EXPECT_THAT(Choose(DeviceChoice::kCuda, kUntrained, OpenFake).status(),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(StartsWith("--device cuda: stage neumf: "),
                             HasSubstr("--dropout"))));
}

TEST(DeviceChoiceTest, AutoSaysWhyItIsTheCpu) {
  const auto expect = [](const std::vector<PlannedStage>& stages,
                         const OpenDevice& open, const char* why) {
    NEUMF_ASSERT_OK_AND_ASSIGN(const ChosenDevice chosen,
                               Choose(DeviceChoice::kAuto, stages, open));
    EXPECT_THAT(chosen.device, IsNull());
    EXPECT_THAT(chosen.why, HasSubstr(why));
  };
  expect(kTrained, OpenNone, "no CUDA device");
  expect(kTrained, OpenSmall, "too small");
  expect(kTrained, OpenFull, "full");
  expect(kUntrained, OpenNone, "no CUDA device");
  expect(kIalsStage, OpenFake, "--loss ials");
}

}  // namespace
}  // namespace neumf
