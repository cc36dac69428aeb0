#pragma once

// SHA-256 (FIPS 180-4), by OpenSSL.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace neumf {

using Sha256Digest = std::array<uint8_t, 32>;

// Digest of bytes that come in pieces. Belongs to one thread.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&& other) noexcept;
  Sha256& operator=(Sha256&& other) noexcept;

  void Update(const void* data, size_t num_bytes);
  // The digest of all bytes so far; starts afresh.
  Sha256Digest Finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

Sha256Digest Sha256Of(absl::string_view bytes);

// 64 lowercase hexadecimal digits.
std::string ToHex(const Sha256Digest& digest);

// The first 8 bytes, little-endian, of SHA-256 of an id: the order of user rows
// in a checkpoint with `user.id.hash`.
uint64_t IdHash(absl::string_view id);

}  // namespace neumf
