// What device.h's Memory is in both of its definitions, which add Allocate() and
// Free().

#include <utility>

#include "scoring/cuda/device/device.h"

namespace neumf::cuda {

Memory::Memory(Memory&& other) noexcept { *this = std::move(other); }

Memory& Memory::operator=(Memory&& other) noexcept {
  if (this == &other) return *this;
  Free();
  device_ = std::exchange(other.device_, nullptr);
  place_ = other.place_;
  data_ = std::exchange(other.data_, nullptr);
  bytes_ = std::exchange(other.bytes_, 0);
  return *this;
}

Memory::~Memory() { Free(); }

}  // namespace neumf::cuda
