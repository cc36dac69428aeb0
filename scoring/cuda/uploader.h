#pragma once

// Takes memory of the host to the device, through pinned memory of two halves:
// while one is copied the other is filled.
//
// For one thread at a time.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "scoring/cuda/device/device.h"

namespace neumf::cuda {

class Uploader {
 public:
  // With halves of up to `half_bytes` each.
  static absl::StatusOr<std::unique_ptr<Uploader>> Make(Device& device,
                                                        size_t half_bytes);

  // Queues the copy; `from` is free again when this returns.
  absl::Status Write(void* to, const void* from, size_t bytes);
  // Waits for all that was queued.
  absl::Status Finish() { return stream_->Synchronize(); }

  // On which copies are queued: kernels there find what was written before.
  Stream& stream() const { return *stream_; }

 private:
  Uploader() = default;

  std::array<Memory, 2> halves_;
  size_t half_bytes_ = 0;
  uint32_t next_ = 0;
  // Declared last: it waits for the copies before the halves go.
  std::unique_ptr<Stream> stream_;
};

}  // namespace neumf::cuda
