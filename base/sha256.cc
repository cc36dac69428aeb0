#include "base/sha256.h"

#include <openssl/evp.h>

#include <memory>
#include <string>

#include "absl/strings/escaping.h"
#include "base/logging.h"

namespace neumf {

struct Sha256::Context {
  Context() : evp(EVP_MD_CTX_new()) { NEUMF_CHECK(evp != nullptr); }
  ~Context() { EVP_MD_CTX_free(evp); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  // A null algorithm keeps the one before: finding it anew costs more than the
  // digest of an id.
  void Start(const EVP_MD* algorithm) const {
    NEUMF_CHECK(EVP_DigestInit_ex(evp, algorithm, nullptr) == 1);
  }

  EVP_MD_CTX* const evp;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  context_->Start(EVP_sha256());
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::Update(const void* data, size_t num_bytes) {
  NEUMF_CHECK(EVP_DigestUpdate(context_->evp, data, num_bytes) == 1);
}

Sha256Digest Sha256::Finish() {
  Sha256Digest digest;
  NEUMF_CHECK(EVP_DigestFinal_ex(context_->evp, digest.data(), nullptr) == 1);
  context_->Start(nullptr);
  return digest;
}

Sha256Digest Sha256Of(absl::string_view bytes) {
  // Made once a thread, for the sake of many short texts.
  static thread_local Sha256 hash;
  hash.Update(bytes.data(), bytes.size());
  return hash.Finish();
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
