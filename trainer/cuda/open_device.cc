// training_device.h for programs that are built with the CUDA toolkit.

#include <memory>
#include <utility>

#include "base/status_macros.h"
#include "scoring/cuda/device/device.h"
#include "trainer/cuda/cuda_training.h"
#include "trainer/cuda/training_device.h"

namespace neumf {

absl::StatusOr<std::unique_ptr<TrainingDevice>> OpenTrainingDevice() {
  NEUMF_ASSIGN_OR_RETURN(std::unique_ptr<cuda::Device> device,
                         cuda::Device::Open(/*ordinal=*/0));
  return cuda::MakeTrainingDevice(std::move(device));
}

}  // namespace neumf
