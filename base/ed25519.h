#pragma once

// Ed25519 signatures (RFC 8032), with OpenSSL's keys: PEM as
// `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout` write it.
//
// Keys are plain values that share what they hold; any thread may use one.

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct evp_pkey_st;  // OpenSSL's EVP_PKEY

namespace neumf {

class Ed25519PrivateKey {
 public:
  // INVALID_ARGUMENT, which says nothing of the content, for anything but such a
  // key without a passphrase.
  static absl::StatusOr<Ed25519PrivateKey> FromPem(absl::string_view pem);

  // 64 bytes.
  std::string Sign(absl::string_view message) const;

 private:
  explicit Ed25519PrivateKey(std::shared_ptr<evp_pkey_st> key);

  std::shared_ptr<evp_pkey_st> key_;
};

class Ed25519PublicKey {
 public:
  // All keys of a text that holds nothing else. INVALID_ARGUMENT without one.
  static absl::StatusOr<std::vector<Ed25519PublicKey>> AllFromPem(
      absl::string_view pem);

  // Whether the key's other half signed `message`.
  bool Verify(absl::string_view message, absl::string_view signature) const;

 private:
  explicit Ed25519PublicKey(std::shared_ptr<evp_pkey_st> key);

  std::shared_ptr<evp_pkey_st> key_;
};

}  // namespace neumf
