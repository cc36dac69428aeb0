#pragma once

// The second definition of device.h and launch.h: a GPU that a test holds in its
// hand. It is there while an EmulatedGpu is, and it is full, fails or is lost
// when told to:
//
//   EmulatedGpu gpu;
//   gpu.FailCommand(3);                       // of those to come
//   EXPECT_THAT(scorer->Rank(...), StatusIs(kUnavailable));
//
// Its memory is the host's, 0xFF at first; kernels run as RunGrid() runs them.
// What a GPU would answer with wrong numbers or a crash is a failure of the test:
// faults of kernels, copies beyond memory that it gave out, writes around it,
// memory that is still there when the EmulatedGpu goes.
//
// Any thread may call any method.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "scoring/cuda/device/device.h"
#include "tests/support/gpu_emulator/run_grid.h"

namespace neumf::cuda {

// Constant while it is there.
struct GpuProperties {
  std::string name = "emulated GPU";
  uint32_t num_multiprocessors = 2;  // few, so that grids are small
  uint32_t max_shared_bytes = 227 * 1024;
  uint32_t max_blocks_per_multiprocessor = 2;
  uint64_t total_bytes = uint64_t{1} << 30;
  bool has_wide_mma = true;
  // Runs what is queued only when the stream is synchronized or goes, so that
  // who reads an answer too early, or changes a question, does not get away with
  // it. Else everything runs when it is queued.
  bool runs_late = false;
  EmulationOptions emulation;
};

// As device number 0. REQUIRES: one at a time.
class EmulatedGpu {
 public:
  explicit EmulatedGpu(GpuProperties properties = {});
  ~EmulatedGpu();
  EmulatedGpu(const EmulatedGpu&) = delete;
  EmulatedGpu& operator=(const EmulatedGpu&) = delete;

  // The `nth` allocation from now on (1 is the next) is RESOURCE_EXHAUSTED.
  void FailAllocation(uint64_t nth);
  // The `nth` command from now on is UNAVAILABLE and does nothing: a launch, a
  // copy, a fill, a recording, the loading of a kernel, a Synchronize().
  void FailCommand(uint64_t nth);
  // The same for want of memory: RESOURCE_EXHAUSTED, unless it is a
  // Synchronize().
  void ExhaustCommand(uint64_t nth);
  // Kernels that the device does not have yet are RESOURCE_EXHAUSTED from now
  // on: CUDA brings each there when it is first used.
  void RefuseLoads();
  // So are this one, all that follow and all allocations, until a reset.
  void LoseFromCommand(uint64_t nth);
  // Resets are UNAVAILABLE from now on, and change nothing.
  void RefuseResets();
  // Another program takes memory of the device.
  void SetBytesOfOthers(uint64_t bytes);

  // Since this was made, those that failed included.
  uint64_t num_allocations() const;
  uint64_t num_commands() const;
  uint64_t num_launches() const;  // of kernels, those of graphs included
  uint64_t num_resets() const;
  // Of what is allocated now, and the most that ever was.
  uint64_t live_bytes(Memory::Place place) const;
  uint64_t peak_bytes(Memory::Place place) const;

  struct State;  // shared with what was made on it

 private:
  const std::shared_ptr<State> state_;
};

// For emulated_launch.h, with any address of `kernel`'s own: queues it, of
// `threads` a block, to be run by `run`.
absl::Status QueueKernel(
    Stream& stream, const void* kernel, const Grid& grid, uint32_t threads,
    std::function<absl::Status(const EmulationOptions&)> run);
absl::Status EmulatedLoad(const Device& device, const void* kernel);
uint32_t EmulatedBlocksPerMultiprocessor(const Device& device, uint32_t threads,
                                         uint32_t shared_bytes);

}  // namespace neumf::cuda
