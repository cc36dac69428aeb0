#pragma once

// Memory between zones that nobody may touch: what is written there is found by
// ZonesAreWhole(), and by AddressSanitizer at once, which finds reads, too.

#include <cstddef>
#include <cstdint>
#include <memory>

namespace neumf {

class GuardedMemory {
 public:
  // `bytes` of 0xFF: NaN as floats and halves. Aligned to 256 bytes.
  explicit GuardedMemory(size_t bytes);
  ~GuardedMemory();
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  std::byte* data() const { return data_; }
  size_t size_bytes() const { return bytes_; }
  bool ZonesAreWhole() const;

 private:
  const size_t bytes_;
  std::byte* data_;
};

}  // namespace neumf
