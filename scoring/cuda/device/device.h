#pragma once

// A GPU, its memory and its queues, without a type of CUDA's: what the host's
// side of the backend is written against.
//
// There are two definitions, of which a program links one: for GPUs (device.cc),
// and the tests' emulator, whose memory is the host's and whose kernels run when
// they are queued.
//
// Errors are values: RESOURCE_EXHAUSTED when memory of the device or pinned
// memory cannot be had, UNAVAILABLE when the device fails or there is none; the
// text says what and names the device.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace neumf::cuda {

class Stream;

// Thread-safe. Outlives all that it made.
class Device {
 public:
  // Device number `ordinal`. UNAVAILABLE without a driver, without such a
  // device, or for one older than sm_80; the text says which.
  static absl::StatusOr<std::unique_ptr<Device>> Open(int ordinal);
  ~Device();

  // Ends all that this process has on device `ordinal`, whoever made it, and
  // the errors that the device is stuck with: the way on after a failure. From
  // then on its Devices and all that they made are dead: they answer
  // UNAVAILABLE, and are destroyed without a call to the device; their memory is
  // gone, pinned memory too. Open() gives a new one. Waits for calls under way.
  // UNAVAILABLE when the device stays lost.
  static absl::Status Reset(int ordinal);

  const std::string& name() const;  // e.g. "NVIDIA H200"
  uint32_t num_multiprocessors() const;
  uint32_t max_shared_bytes() const;  // dynamic, of a block that opts in
  uint64_t total_bytes() const;
  // Whether the threads of its kernels have thread.h's WideMma().
  bool has_wide_mma() const;
  absl::StatusOr<uint64_t> FreeBytes() const;

  absl::StatusOr<std::unique_ptr<Stream>> MakeStream();

  struct Impl;  // of a definition
  Impl& impl() const { return *impl_; }

 private:
  explicit Device(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Memory that goes with its owner; movable. Of the device (its contents
// undefined at first), or pinned memory of the host.
class Memory {
 public:
  enum class Place { kDevice, kPinned };
  Memory() = default;  // nothing
  static absl::StatusOr<Memory> Allocate(Device& device, Place place,
                                         size_t bytes);
  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&& other) noexcept;
  ~Memory();

  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  size_t size_bytes() const { return bytes_; }

 private:
  void Free();

  Device* device_ = nullptr;
  Place place_ = Place::kDevice;
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// Work recorded once and queued many times.
class Graph {
 public:
  ~Graph();
  struct Impl;
  explicit Graph(std::unique_ptr<Impl> impl);
  Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// A queue: what is put there runs in order, beside the caller. For one thread at
// a time. Its destructor waits for what is queued.
class Stream {
 public:
  ~Stream();

  // Between pinned memory and the device, either way.
  absl::Status Copy(void* to, const void* from, size_t bytes);
  absl::Status Fill(void* device_memory, uint8_t byte, size_t bytes);

  // Records what `queue` puts on this stream (kernels, Fill(), Copy() of fixed
  // places) without running it.
  absl::StatusOr<std::unique_ptr<Graph>> Record(
      absl::FunctionRef<absl::Status()> queue);
  absl::Status Launch(const Graph& graph);

  // Waits for all that is queued; tells its errors, and those of the device
  // since then. All are UNAVAILABLE: nobody knows what ran and what did not.
  absl::Status Synchronize();
  // Time that the device spent between the last two marks, for benchmarks;
  // after Synchronize().
  absl::Status Mark();
  absl::StatusOr<double> SecondsBetweenMarks();

  Device& device() const;

  struct Impl;
  explicit Stream(std::unique_ptr<Impl> impl);
  Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace neumf::cuda
