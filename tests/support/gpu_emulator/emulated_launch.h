#pragma once

// What launch.h declares, on the emulated GPU: for kernels.cc, and for tests
// with kernels of their own.

#include <cstdint>
#include <type_traits>

#include "absl/status/status.h"
#include "scoring/cuda/device/launch.h"
#include "tests/support/gpu_emulator/emulated_gpu.h"
#include "tests/support/gpu_emulator/run_grid.h"

namespace neumf::cuda {

template <typename Kernel>
const void* KernelAddress() {
  static const char place = 0;
  return &place;
}

template <typename Kernel>
absl::Status Launch(Stream& stream, const Grid& grid, const Kernel& kernel) {
  // CUDA copies a kernel's arguments by their bytes, up to so many.
  static_assert(std::is_trivially_copyable_v<Kernel> && sizeof(Kernel) <= 4096);
  return QueueKernel(stream, KernelAddress<Kernel>(), grid, Kernel::kThreads,
                     [grid, kernel](const EmulationOptions& options) {
                       return RunGrid(grid, kernel, options);
                     });
}

template <typename Kernel>
absl::Status LoadKernel(const Device& device) {
  return EmulatedLoad(device, KernelAddress<Kernel>());
}

template <typename Kernel>
uint32_t BlocksPerMultiprocessor(const Device& device, uint32_t shared_bytes) {
  return EmulatedBlocksPerMultiprocessor(device, Kernel::kThreads,
                                         shared_bytes);
}

}  // namespace neumf::cuda
