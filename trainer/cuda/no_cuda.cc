// training_device.h for programs that are built without the CUDA toolkit.

#include "absl/status/status.h"
#include "trainer/cuda/training_device.h"

namespace neumf {

absl::StatusOr<std::unique_ptr<TrainingDevice>> OpenTrainingDevice() {
  return absl::UnavailableError(
      "no CUDA device: this program was built without the CUDA toolkit "
      "(NEUMF_WITH_CUDA)");
}

}  // namespace neumf
