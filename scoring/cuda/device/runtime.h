#pragma once

// device.h over CUDA's runtime: what its definition for GPUs (device.cc) and
// launch.cc share.

#include <cuda_runtime.h>

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "scoring/cuda/device/device.h"

namespace neumf::cuda {

// UNAVAILABLE, or RESOURCE_EXHAUSTED where memory was short: "device: what:
// CUDA's text".
absl::Status ErrorStatus(absl::string_view device, absl::string_view what,
                         cudaError_t error);

// Constant after construction.
struct Device::Impl {
  int ordinal = 0;
  // How often the device had been reset when this was opened. Whatever was made
  // before a reset is gone, and its handles point nowhere.
  uint64_t generation = 0;
  std::string name;
  uint32_t num_multiprocessors = 0;
  uint32_t max_shared_bytes = 0;
  uint64_t total_bytes = 0;
  bool has_wide_mma = false;

  // Calls the runtime with this device as the thread's own, and tells its error
  // as one of doing `what`. UNAVAILABLE, without the call, after a reset; one
  // that comes meanwhile waits. `call` must not use Run().
  absl::Status Run(absl::string_view what,
                   absl::FunctionRef<cudaError_t()> call) const;
};

struct Stream::Impl {
  explicit Impl(Device& maker) : device(maker) {}
  ~Impl();

  Device& device;
  cudaStream_t stream = nullptr;
  // The marks, in turns: number m is mark[m % 2].
  cudaEvent_t mark[2] = {nullptr, nullptr};
  uint32_t num_marks = 0;
};

struct Graph::Impl {
  explicit Impl(Device& maker) : device(maker) {}
  ~Impl();

  Device& device;
  cudaGraphExec_t graph = nullptr;
};

}  // namespace neumf::cuda
