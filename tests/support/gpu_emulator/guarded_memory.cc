#include "tests/support/gpu_emulator/guarded_memory.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "tests/support/gpu_emulator/sanitizers.h"

namespace neumf {
namespace {

constexpr size_t kZone = 256;
constexpr std::align_val_t kAlignment{kZone};
constexpr std::byte kCanary{0xA5};

bool IsWhole(const std::byte* zone) {
  return std::all_of(zone, zone + kZone,
                     [](std::byte b) { return b == kCanary; });
}

}  // namespace

GuardedMemory::GuardedMemory(size_t bytes)
    : bytes_(bytes),
      data_(static_cast<std::byte*>(
                ::operator new(kZone + bytes + kZone, kAlignment)) +
            kZone) {
  std::fill_n(data_ - kZone, kZone, kCanary);
  std::memset(data_, 0xFF, bytes);
  std::fill_n(data_ + bytes, kZone, kCanary);
  Forbid(data_ - kZone, kZone);
  Forbid(data_ + bytes, kZone);
}

GuardedMemory::~GuardedMemory() {
  Allow(data_ - kZone, kZone);
  Allow(data_ + bytes_, kZone);
  ::operator delete(data_ - kZone, kAlignment);
}

bool GuardedMemory::ZonesAreWhole() const {
  // What AddressSanitizer watches is whole, or the program had ended.
  return kWithAddressSanitizer ||
         (IsWhole(data_ - kZone) && IsWhole(data_ + bytes_));
}

}  // namespace neumf
