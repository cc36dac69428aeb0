#include "bench/gpu/device_probes.h"

#include <memory>
#include <vector>

#include "base/status_macros.h"
#include "bench/gpu/probe_kernels.h"
#include "bench/interleaved.h"
#include "scoring/cuda/device/launch.h"

namespace neumf::cuda {
namespace {

constexpr uint32_t kRounds = 9;
constexpr uint32_t kSteps = 20'000;
constexpr uint64_t kCopiedBytes = uint64_t{2} << 30;
constexpr uint64_t kDelayBytes = uint64_t{512} << 20;

// As many blocks of Kernel as run at once.
template <typename Kernel>
Grid FullGrid(const Device& device, uint32_t shared_bytes) {
  return {device.num_multiprocessors() *
              BlocksPerMultiprocessor<Kernel>(device, shared_bytes),
          shared_bytes};
}

template <typename Kernel>
absl::StatusOr<double> MeasureMacs(Device& device, uint32_t shared_bytes) {
  const Grid grid = FullGrid<Kernel>(device, shared_bytes);
  NEUMF_ASSIGN_OR_RETURN(const auto stream, device.MakeStream());
  NEUMF_ASSIGN_OR_RETURN(
      const Memory sums,
      Memory::Allocate(device, Memory::Place::kDevice,
                       sizeof(float) * grid.blocks * Kernel::kThreads));
  NEUMF_ASSIGN_OR_RETURN(const DeviceClock clock, DeviceClock::Make(device));
  NEUMF_ASSIGN_OR_RETURN(
      const double seconds,
      clock.Seconds(
          *stream, kRounds,
          [&] {
            return Launch(*stream, grid, Kernel{kSteps, sums.as<float>()});
          },
          [&] { return stream->Synchronize(); }));
  const double warps = 1.0 * grid.blocks * Kernel::kThreads / kLanes;
  return warps * kSteps * Kernel::kMacsOfWarp / seconds;
}

}  // namespace

absl::StatusOr<DeviceClock> DeviceClock::Make(Device& device) {
  DeviceClock clock;
  clock.num_multiprocessors_ = device.num_multiprocessors();
  NEUMF_ASSIGN_OR_RETURN(
      clock.memory_,
      Memory::Allocate(device, Memory::Place::kDevice, 2 * kDelayBytes));
  return clock;
}

absl::StatusOr<double> DeviceClock::Seconds(
    Stream& stream, uint32_t rounds, absl::FunctionRef<absl::Status()> queue,
    absl::FunctionRef<absl::Status()> wait) const {
  NEUMF_RETURN_IF_ERROR(queue());
  NEUMF_RETURN_IF_ERROR(wait());
  std::vector<double> seconds;
  for (uint32_t round = 0; round < rounds; ++round) {
    NEUMF_RETURN_IF_ERROR(Delay(stream));
    NEUMF_RETURN_IF_ERROR(stream.Mark());
    NEUMF_RETURN_IF_ERROR(queue());
    NEUMF_RETURN_IF_ERROR(stream.Mark());
    NEUMF_RETURN_IF_ERROR(wait());
    NEUMF_ASSIGN_OR_RETURN(const double taken, stream.SecondsBetweenMarks());
    seconds.push_back(taken);
  }
  return Median(seconds);
}

absl::Status DeviceClock::Delay(Stream& stream) const {
  CopyWords copy;
  copy.from = memory_.as<Words4>();
  copy.count = kDelayBytes / sizeof(Words4);
  copy.to = memory_.as<Words4>() + copy.count;
  return Launch(stream, {num_multiprocessors_ * CopyWords::kMinBlocks, 0},
                copy);
}

absl::StatusOr<double> MeasureCopy(Device& device) {
  NEUMF_ASSIGN_OR_RETURN(const auto stream, device.MakeStream());
  NEUMF_ASSIGN_OR_RETURN(
      const Memory memory,
      Memory::Allocate(device, Memory::Place::kDevice, 2 * kCopiedBytes));
  NEUMF_ASSIGN_OR_RETURN(const DeviceClock clock, DeviceClock::Make(device));
  CopyWords copy;
  copy.from = memory.as<Words4>();
  copy.count = kCopiedBytes / sizeof(Words4);
  copy.to = memory.as<Words4>() + copy.count;
  const Grid grid = FullGrid<CopyWords>(device, 0);
  NEUMF_ASSIGN_OR_RETURN(
      const double seconds,
      clock.Seconds(
          *stream, kRounds, [&] { return Launch(*stream, grid, copy); },
          [&] { return stream->Synchronize(); }));
  return 2.0 * kCopiedBytes / seconds;
}

absl::StatusOr<double> MeasureMultiply(Device& device) {
  return MeasureMacs<MultiplyInRegisters>(device, 0);
}

absl::StatusOr<double> MeasureMultiplyWide(Device& device) {
  if (!device.has_wide_mma()) return 0;
  return MeasureMacs<MultiplyWide>(device, MultiplyWide::kSharedBytes);
}

}  // namespace neumf::cuda
