#pragma once

// What a GPU can do at this moment: the yardsticks of the figures.

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "scoring/cuda/device/device.h"

namespace neumf::cuda {

// The median over `rounds` of what `queue` takes on the device, once it has run
// before. Everything is queued before the first of it runs, so that the host's
// time does not count.
class DeviceClock {
 public:
  static absl::StatusOr<DeviceClock> Make(Device& device);
  // Of what is queued on `stream`, which must be idle. `wait` makes the stream
  // idle again, and takes what has been done.
  absl::StatusOr<double> Seconds(Stream& stream, uint32_t rounds,
                                 absl::FunctionRef<absl::Status()> queue,
                                 absl::FunctionRef<absl::Status()> wait) const;

 private:
  // Some hundred microseconds of work.
  absl::Status Delay(Stream& stream) const;

  uint32_t num_multiprocessors_ = 0;
  Memory memory_;
};

// Bytes a second, read and written, of a copy that fits no cache.
absl::StatusOr<double> MeasureCopy(Device& device);

// Multiply-adds a second of halves into float32, on registers alone: of
// mma.sync, and of wgmma with one operand in shared memory; the latter 0 where
// there is none.
absl::StatusOr<double> MeasureMultiply(Device& device);
absl::StatusOr<double> MeasureMultiplyWide(Device& device);

}  // namespace neumf::cuda
