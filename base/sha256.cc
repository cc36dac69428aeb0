#include "base/sha256.h"

// OpenSSL's newer interface takes two and a half times as long for a text as
// short as an id, mostly for memory; this one keeps its state where we say.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <memory>
#include <string>

#include "absl/strings/escaping.h"

namespace neumf {

struct Sha256::Context {
  Context() { SHA256_Init(&state); }

  SHA256_CTX state;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::Update(const void* data, size_t num_bytes) {
  SHA256_Update(&context_->state, data, num_bytes);
}

Sha256Digest Sha256::Finish() {
  Sha256Digest digest;
  SHA256_Final(digest.data(), &context_->state);
  SHA256_Init(&context_->state);
  return digest;
}

Sha256Digest Sha256Of(absl::string_view bytes) {
  SHA256_CTX state;
  SHA256_Init(&state);
  SHA256_Update(&state, bytes.data(), bytes.size());
  Sha256Digest digest;
  SHA256_Final(digest.data(), &state);
  return digest;
}

std::string ToHex(const Sha256Digest& digest) {
  const std::string bytes(digest.begin(), digest.end());
  return absl::BytesToHexString(bytes);
}

uint64_t IdHash(absl::string_view id) {
  const Sha256Digest digest = Sha256Of(id);
  uint64_t hash = 0;
  for (size_t i = 0; i < sizeof(hash); ++i) {
    hash |= uint64_t{digest[i]} << (8 * i);
  }
  return hash;
}

}  // namespace neumf
