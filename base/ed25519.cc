#include "base/ed25519.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "base/logging.h"

namespace neumf {
namespace {

constexpr size_t kSignatureBytes = 64;

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using OwnedBio = std::unique_ptr<BIO, Free>;
using OwnedContext = std::unique_ptr<EVP_MD_CTX, Free>;

OwnedBio Reader(absl::string_view pem) {
  OwnedBio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  NEUMF_CHECK(bio != nullptr);
  return bio;
}

// Nobody is there to type a passphrase; OpenSSL would ask.
int NoPassphrase(char* /*buffer*/, int /*size*/, int /*is_write*/,
                 void* /*user*/) {
  return -1;
}

std::shared_ptr<EVP_PKEY> Owned(EVP_PKEY* key) {
  return std::shared_ptr<EVP_PKEY>(key, EVP_PKEY_free);
}

bool IsEd25519(const std::shared_ptr<EVP_PKEY>& key) {
  return key != nullptr && EVP_PKEY_get_id(key.get()) == EVP_PKEY_ED25519;
}

absl::Status Wrong(absl::string_view what) {
  ERR_clear_error();  // else OpenSSL tells it to whoever asks next
  return absl::InvalidArgumentError(what);
}

const unsigned char* Bytes(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// What the next block of a PEM text holds; none at its end and where it is
// damaged, which OpenSSL's last error tells apart.
std::optional<std::string> NextBlock(BIO* pem) {
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
  if (PEM_read_bio(pem, &name, &header, &data, &size) != 1) return std::nullopt;
  std::string content(reinterpret_cast<const char*>(data),
                      static_cast<size_t>(size));
  OPENSSL_free(name);
  OPENSSL_free(header);
  OPENSSL_free(data);
  return content;
}

}  // namespace

Ed25519PrivateKey::Ed25519PrivateKey(std::shared_ptr<EVP_PKEY> key)
    : key_(std::move(key)) {}

absl::StatusOr<Ed25519PrivateKey> Ed25519PrivateKey::FromPem(
    absl::string_view pem) {
  std::shared_ptr<EVP_PKEY> key = Owned(PEM_read_bio_PrivateKey(
      Reader(pem).get(), nullptr, NoPassphrase, nullptr));
  if (IsEd25519(key)) return Ed25519PrivateKey(std::move(key));
  return Wrong("is no PEM private key of ed25519, or has a passphrase");
}

std::string Ed25519PrivateKey::Sign(absl::string_view message) const {
  const OwnedContext context(EVP_MD_CTX_new());
  std::string signature(kSignatureBytes, '\0');
  size_t size = signature.size();
  // With a key of ed25519 only memory can be short.
  NEUMF_CHECK(context != nullptr &&
              EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr,
                                 key_.get()) == 1 &&
              EVP_DigestSign(context.get(),
                             reinterpret_cast<unsigned char*>(signature.data()),
                             &size, Bytes(message), message.size()) == 1 &&
              size == signature.size());
  return signature;
}

Ed25519PublicKey::Ed25519PublicKey(std::shared_ptr<EVP_PKEY> key)
    : key_(std::move(key)) {}

absl::StatusOr<std::vector<Ed25519PublicKey>> Ed25519PublicKey::AllFromPem(
    absl::string_view pem) {
  const absl::string_view wrong = "is no PEM file of ed25519 public keys";
  const OwnedBio bio = Reader(pem);
  std::vector<Ed25519PublicKey> keys;
  ERR_clear_error();
  while (const std::optional<std::string> der = NextBlock(bio.get())) {
    const unsigned char* bytes = Bytes(*der);
    std::shared_ptr<EVP_PKEY> key =
        Owned(d2i_PUBKEY(nullptr, &bytes, static_cast<long>(der->size())));
    if (!IsEd25519(key)) return Wrong(wrong);
    keys.push_back(Ed25519PublicKey(std::move(key)));
  }
  // What ended it must be the end: a key that is damaged is not passed over.
  const bool at_end =
      ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (keys.empty() || !at_end) return Wrong(wrong);
  ERR_clear_error();
  return keys;
}

bool Ed25519PublicKey::Verify(absl::string_view message,
                              absl::string_view signature) const {
  const OwnedContext context(EVP_MD_CTX_new());
  const bool is_signed =
      context != nullptr &&
      EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr,
                           key_.get()) == 1 &&
      EVP_DigestVerify(context.get(), Bytes(signature), signature.size(),
                       Bytes(message), message.size()) == 1;
  ERR_clear_error();
  return is_signed;
}

}  // namespace neumf
