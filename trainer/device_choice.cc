#include "trainer/device_choice.h"

#include <algorithm>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "trainer/step/names.h"

namespace neumf {
namespace {

constexpr Named<DeviceChoice> kDeviceChoices[] = {
    {"auto", DeviceChoice::kAuto},
    {"cpu", DeviceChoice::kCpu},
    {"cuda", DeviceChoice::kCuda},
};

// The first fault that `check` finds, with the stage where there are several.
absl::Status CheckStages(
    absl::Span<const PlannedStage> stages,
    absl::FunctionRef<absl::Status(const StepPlan&, const TrainingSize&)>
        check) {
  for (const PlannedStage& stage : stages) {
    const absl::Status status =
        stage.plan ? check(*stage.plan, stage.size)
                   : absl::UnimplementedError("a GPU trains no --loss ials");
    if (status.ok()) continue;
    return stages.size() == 1
               ? status
               : Annotate(status, absl::StrCat("stage ", stage.name));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<TrainingDevice>> OpenFor(
    absl::Span<const PlannedStage> stages, const OpenDevice& open) {
  NEUMF_ASSIGN_OR_RETURN(std::unique_ptr<TrainingDevice> device, open());
  NEUMF_RETURN_IF_ERROR(
      CheckStages(stages, [&](const StepPlan& plan, const TrainingSize& size) {
        return device->Check(plan, size);
      }));
  return device;
}

bool HaveSteps(absl::Span<const PlannedStage> stages) {
  return std::all_of(
      stages.begin(), stages.end(),
      [](const PlannedStage& stage) { return stage.plan.has_value(); });
}

absl::StatusOr<ChosenDevice> ChooseCuda(absl::Span<const PlannedStage> stages,
                                        const DevicesHere& devices) {
  // What no GPU trains is refused on any machine alike.
  absl::Status status = CheckStages(
      stages, [](const StepPlan& plan, const TrainingSize& /*size*/) {
        return CheckDeviceTrains(plan);
      });
  if (status.ok()) {
    absl::StatusOr<std::unique_ptr<TrainingDevice>> device =
        OpenFor(stages, devices.open);
    if (device.ok()) return ChosenDevice{*std::move(device), "", ""};
    status = device.status();
  }
  if (absl::IsUnimplemented(status)) {
    if (!devices.torch.empty() && HaveSteps(stages)) {
      return ChosenDevice{nullptr, devices.torch, ""};
    }
    status = absl::UnimplementedError(
        absl::StrCat(status.message(),
                     " without a LibTorch that has CUDA; --device cpu does"));
  }
  return Annotate(status, "--device cuda");
}

}  // namespace

absl::StatusOr<DeviceChoice> ParseDeviceChoice(absl::string_view text) {
  return ParseName<DeviceChoice>("--device", text, kDeviceChoices);
}

absl::StatusOr<ChosenDevice> ChooseDevice(DeviceChoice choice,
                                          absl::Span<const PlannedStage> stages,
                                          const DevicesHere& devices) {
  if (choice == DeviceChoice::kCpu) return ChosenDevice();
  if (choice == DeviceChoice::kCuda) return ChooseCuda(stages, devices);
  absl::StatusOr<std::unique_ptr<TrainingDevice>> device =
      OpenFor(stages, devices.open);
  if (device.ok()) return ChosenDevice{*std::move(device), "", ""};
  return ChosenDevice{nullptr, "", std::string(device.status().message())};
}

}  // namespace neumf
