#pragma once

// Starts kernels. There are two definitions, of which a program links one: for
// GPUs (launch_kernel.h), and the tests' emulator.

#include "absl/status/status.h"
#include "scoring/cuda/device/device.h"
#include "scoring/cuda/device/thread.h"

namespace neumf::cuda {

// Queues `kernel` on `stream`: grid.blocks blocks of Kernel::kThreads threads.
// An error says that it could not be queued; errors of the kernel itself come
// out of Stream::Synchronize().
template <typename Kernel>
absl::Status Launch(Stream& stream, const Grid& grid, const Kernel& kernel);

// Brings Kernel's code to the device, which else happens when it is first
// started, and may then find no memory.
template <typename Kernel>
absl::Status LoadKernel(const Device& device);

// Blocks of Kernel that one multiprocessor runs at once with `shared_bytes` of
// dynamic shared memory each; 0 when a block does not fit.
template <typename Kernel>
uint32_t BlocksPerMultiprocessor(const Device& device, uint32_t shared_bytes);

}  // namespace neumf::cuda
