#pragma once

// Where a run trains: --device.

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "trainer/cuda/step_plan.h"
#include "trainer/cuda/training_device.h"

namespace neumf {

// kAuto takes a GPU where there is one that trains all stages and has the memory
// for each, else the CPU.
enum class DeviceChoice { kAuto, kCpu, kCuda };

// "auto", "cpu", "cuda"; else INVALID_ARGUMENT.
absl::StatusOr<DeviceChoice> ParseDeviceChoice(absl::string_view text);

// What a manifest says of a run that had no GPU.
inline constexpr char kCpuName[] = "cpu";

struct PlannedStage {
  std::string name;
  std::optional<StepPlan> plan;  // none: iALS, which has no steps
  TrainingSize size = {};
};

using OpenDevice =
    std::function<absl::StatusOr<std::unique_ptr<TrainingDevice>>()>;

// What there is to choose from.
struct DevicesHere {
  OpenDevice open = OpenTrainingDevice;
  std::string torch;  // TorchModel::GpuName()
};

// Neither: the CPU.
struct ChosenDevice {
  std::unique_ptr<TrainingDevice> device;
  std::string torch;  // a device of LibTorch's
  std::string why;    // it is the CPU though a GPU was welcome; else empty

  // kCpuName, or that of the GPU.
  std::string name() const {
    if (device != nullptr) return device->name();
    return torch.empty() ? kCpuName : "LibTorch's " + torch;
  }
};

// With kCuda it is never the CPU: what trainer/cuda does not train is left to
// LibTorch, where that has CUDA. UNIMPLEMENTED when a GPU does not train a stage,
// RESOURCE_EXHAUSTED when its memory is taken, UNAVAILABLE when there is none.
absl::StatusOr<ChosenDevice> ChooseDevice(DeviceChoice choice,
                                          absl::Span<const PlannedStage> stages,
                                          const DevicesHere& devices);

}  // namespace neumf
