#pragma once

// Names that stand for ids where the ids themselves should not be: the same id
// has the same one, and nobody without the salt can tell which id it is, not
// even by trying all of them.
//
//   Pseudonyms pseudonyms(salt);
//   pseudonyms.Of("user 7");  // "5f0c6b..."
//
// Immutable: any thread may use it.

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/sha256.h"

namespace neumf {

class Pseudonyms {
 public:
  // Whoever knows some of the ids can try salts that are shorter.
  static constexpr size_t kMinSaltBytes = 16;

  // INVALID_ARGUMENT for one that is too short.
  static absl::Status CheckSalt(absl::string_view salt);

  explicit Pseudonyms(absl::string_view salt) : salt_(Sha256Of(salt)) {}

  // 32 hexadecimal digits: half of SHA-256 of the digest of the salt, and `id`.
  std::string Of(absl::string_view id) const;

 private:
  const Sha256Digest salt_;  // of one length, so that it ends where `id` begins
};

}  // namespace neumf
