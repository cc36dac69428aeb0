#pragma once

// What EmulatedGpu and the devices, memory and streams made on it share.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <shared_mutex>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"
#include "tests/support/gpu_emulator/emulated_gpu.h"
#include "tests/support/gpu_emulator/guarded_memory.h"

namespace neumf::cuda {

// Methods take the generation `of` the Device that they are for: UNAVAILABLE
// after a reset. Thread-safe.
struct EmulatedGpu::State {
  explicit State(GpuProperties of_gpu) : properties(std::move(of_gpu)) {}

  // The device that is there. UNAVAILABLE when there is none.
  static absl::StatusOr<std::shared_ptr<State>> Find(int ordinal);

  // UNAVAILABLE, also when the device is lost.
  absl::Status CheckAlive(uint64_t of, absl::string_view what);
  // The same for a command, which may be one that is to fail.
  absl::Status BeginCommand(uint64_t of, absl::string_view what);
  // The same for one that needs `kernel` on the device.
  absl::Status LoadKernel(uint64_t of, const void* kernel,
                          absl::string_view what);

  absl::StatusOr<std::byte*> Allocate(uint64_t of, Memory::Place place,
                                      size_t num_bytes);
  void Free(uint64_t of, std::byte* data);
  absl::StatusOr<uint64_t> FreeBytes(uint64_t of);
  // Whether [begin, begin + num_bytes) was given out and not freed.
  bool Holds(Memory::Place place, const void* begin, size_t num_bytes);
  absl::Status Reset();

  const GpuProperties properties;

  // What runs on the device holds it shared, a reset alone.
  std::shared_mutex running;

  Mutex mutex;
  uint64_t generation ABSL_GUARDED_BY(mutex) = 0;
  bool lost ABSL_GUARDED_BY(mutex) = false;
  bool refuses_resets ABSL_GUARDED_BY(mutex) = false;
  // How many are left until one fails; 0: none will.
  uint64_t until_failed_allocation ABSL_GUARDED_BY(mutex) = 0;
  uint64_t until_failed_command ABSL_GUARDED_BY(mutex) = 0;
  bool failure_is_loss ABSL_GUARDED_BY(mutex) = false;
  bool failure_is_memory ABSL_GUARDED_BY(mutex) = false;
  bool refuses_loads ABSL_GUARDED_BY(mutex) = false;
  std::set<const void*> kernels ABSL_GUARDED_BY(mutex);  // on the device
  uint64_t bytes_of_others ABSL_GUARDED_BY(mutex) = 0;

  uint64_t num_allocations ABSL_GUARDED_BY(mutex) = 0;
  uint64_t num_commands ABSL_GUARDED_BY(mutex) = 0;
  uint64_t num_launches ABSL_GUARDED_BY(mutex) = 0;
  uint64_t num_resets ABSL_GUARDED_BY(mutex) = 0;
  struct Bytes {
    uint64_t live = 0;
    uint64_t peak = 0;
  };
  Bytes bytes[2] ABSL_GUARDED_BY(mutex);  // of each Memory::Place

  struct Allocation {
    Memory::Place place;
    std::unique_ptr<GuardedMemory> memory;
  };
  std::map<const std::byte*, Allocation> allocations ABSL_GUARDED_BY(mutex);

 private:
  absl::Status CheckAliveLocked(uint64_t of, absl::string_view what)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Drop(const Allocation& allocation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
};

}  // namespace neumf::cuda
