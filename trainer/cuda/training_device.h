#pragma once

// A device that trains in the CPU's place: the seam between the trainer, which
// knows settings, epochs and files, and the GPU's code, which a program may lack.
//
//   NEUMF_ASSIGN_OR_RETURN(auto device, OpenTrainingDevice());
//   NEUMF_ASSIGN_OR_RETURN(auto training, device->Start(...));
//   NEUMF_ASSIGN_OR_RETURN(const double loss, training->TrainEpoch(1, tell));
//   NEUMF_RETURN_IF_ERROR(training->Read(&progress));
//
// A run on a device sees the examples that the CPU's run of the same seed sees,
// in the same batches, and computes the same function in float32: gradients agree
// up to rounding, and models as far as rounding lets them. The same device gives
// the same bits each time.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "data/interactions.h"
#include "data/item_sequences.h"
#include "trainer/cuda/step_plan.h"

namespace neumf {

// How much a run learns from.
struct TrainingSize {
  uint64_t num_events = 0;        // of the sequences
  uint64_t num_interactions = 0;  // events without repeats
};

// Where a run stands. A moment that the optimizer has not is empty.
struct DeviceProgress {
  std::vector<float> parameters;  // Parameters::values()
  std::vector<float> first_moment;
  std::vector<float> second_moment;
  uint64_t num_steps = 0;
};

// A run on a device. Belongs to one thread.
class DeviceTraining {
 public:
  // After some batches of an epoch: how many are done of how many, and the mean
  // loss of their groups.
  using Tell = absl::FunctionRef<void(uint64_t batches_done,
                                      uint64_t num_batches, double mean_loss)>;

  virtual ~DeviceTraining() = default;

  // Trains epoch `epoch`, from 1, and returns the mean loss of its groups; not
  // finite when the numbers left what the device adds up (fixed_point.h), with
  // which the epoch ends early. UNAVAILABLE when the device fails.
  virtual absl::StatusOr<double> TrainEpoch(uint32_t epoch, Tell tell) = 0;

  virtual absl::Status Read(DeviceProgress* progress) = 0;
};

// Thread-safe. Outlives what it started.
class TrainingDevice {
 public:
  virtual ~TrainingDevice() = default;

  virtual const std::string& name() const = 0;  // "NVIDIA H200"

  // UNIMPLEMENTED as CheckDeviceTrains(), for a tower too large for the shared
  // memory of this device and for 2^32 events; RESOURCE_EXHAUSTED when the run
  // takes more of the device's memory than is free now.
  virtual absl::Status Check(const StepPlan& plan,
                             const TrainingSize& size) const = 0;

  // The data must outlive the training. An empty moment begins at 0.
  // INVALID_ARGUMENT for a user without negatives; RESOURCE_EXHAUSTED when others
  // have taken the memory since Check(). REQUIRES: that was OK.
  virtual absl::StatusOr<std::unique_ptr<DeviceTraining>> Start(
      const StepPlan& plan, const Interactions& train,
      const ItemSequences& sequences, const DeviceProgress& start) = 0;
};

// The first GPU. UNAVAILABLE says why there is none: no CUDA in this build, no
// driver, no device, or one that is too old.
absl::StatusOr<std::unique_ptr<TrainingDevice>> OpenTrainingDevice();

}  // namespace neumf
