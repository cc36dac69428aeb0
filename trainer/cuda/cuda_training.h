#pragma once

// training_device.h over a device of scoring/cuda/device: a GPU, or in tests the
// emulator.

#include <memory>

#include "scoring/cuda/device/device.h"
#include "trainer/cuda/training_device.h"

namespace neumf::cuda {

std::unique_ptr<TrainingDevice> MakeTrainingDevice(
    std::unique_ptr<Device> device);

}  // namespace neumf::cuda
