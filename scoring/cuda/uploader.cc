#include "scoring/cuda/uploader.h"

#include <algorithm>
#include <cstring>

#include "base/status_macros.h"

namespace neumf::cuda {

absl::StatusOr<std::unique_ptr<Uploader>> Uploader::Make(Device& device,
                                                         size_t half_bytes) {
  std::unique_ptr<Uploader> uploader(new Uploader());
  uploader->half_bytes_ = half_bytes;
  for (Memory& half : uploader->halves_) {
    NEUMF_ASSIGN_OR_RETURN(
        half, Memory::Allocate(device, Memory::Place::kPinned, half_bytes));
  }
  NEUMF_ASSIGN_OR_RETURN(uploader->stream_, device.MakeStream());
  return uploader;
}

absl::Status Uploader::Write(void* to, const void* from, size_t bytes) {
  auto* target = static_cast<std::byte*>(to);
  const auto* source = static_cast<const std::byte*>(from);
  while (bytes > 0) {
    const size_t count = std::min(bytes, half_bytes_);
    auto* const half = halves_[next_].as<std::byte>();
    next_ = 1 - next_;
    std::memcpy(half, source, count);
    // The other half's copy, so that it may be filled while this one is copied.
    NEUMF_RETURN_IF_ERROR(stream_->Synchronize());
    NEUMF_RETURN_IF_ERROR(stream_->Copy(target, half, count));
    target += count;
    source += count;
    bytes -= count;
  }
  return absl::OkStatus();
}

}  // namespace neumf::cuda
