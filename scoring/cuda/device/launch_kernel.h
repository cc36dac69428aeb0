#pragma once

// What launch.h declares, for GPUs: for the .cc files that instantiate it for
// their kernels, no others.

#include <cuda_runtime.h>

#include <cstdint>

#include "absl/status/status.h"
#include "scoring/cuda/device/launch.h"
#include "scoring/cuda/device/runtime.h"

namespace neumf::cuda {

// entry_point.cuh
template <typename Kernel>
const void* EntryPoint();

// More than 48 KB a block have to be asked for, anew after a reset. What is asked
// for is the kernel's for all threads, so it is always the same: all there is.
inline cudaError_t AllowSharedBytes(const Device& device,
                                    const void* entry_point, uint32_t bytes) {
  constexpr uint32_t kWithoutAsking = 48 * 1024;
  if (bytes <= kWithoutAsking) return cudaSuccess;
  return cudaFuncSetAttribute(entry_point,
                              cudaFuncAttributeMaxDynamicSharedMemorySize,
                              static_cast<int>(device.max_shared_bytes()));
}

template <typename Kernel>
absl::Status Launch(Stream& stream, const Grid& grid, const Kernel& kernel) {
  return stream.device().impl().Run("starting a kernel", [&] {
    const void* const entry_point = EntryPoint<Kernel>();
    const cudaError_t error =
        AllowSharedBytes(stream.device(), entry_point, grid.shared_bytes);
    if (error != cudaSuccess) return error;
    // The runtime copies what `argument` points to, and writes to none of it.
    void* argument = const_cast<Kernel*>(&kernel);
    return cudaLaunchKernel(entry_point, dim3(grid.blocks),
                            dim3(Kernel::kThreads), &argument,
                            grid.shared_bytes, stream.impl().stream);
  });
}

template <typename Kernel>
absl::Status LoadKernel(const Device& device) {
  return device.impl().Run("loading a kernel", [] {
    cudaFuncAttributes attributes;  // that only loaded code has
    return cudaFuncGetAttributes(&attributes, EntryPoint<Kernel>());
  });
}

template <typename Kernel>
uint32_t BlocksPerMultiprocessor(const Device& device, uint32_t shared_bytes) {
  int blocks = 0;
  const absl::Status status = device.impl().Run("sizing a kernel", [&] {
    const void* const entry_point = EntryPoint<Kernel>();
    const cudaError_t error =
        AllowSharedBytes(device, entry_point, shared_bytes);
    if (error != cudaSuccess) return error;
    return cudaOccupancyMaxActiveBlocksPerMultiprocessor(
        &blocks, entry_point, Kernel::kThreads, shared_bytes);
  });
  return status.ok() ? static_cast<uint32_t>(blocks) : 0;
}

}  // namespace neumf::cuda
