#include "server/tls_material.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pemerr.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

template <typename T, void (*kFree)(T*)>
struct Freed {
  void operator()(T* object) const { kFree(object); }
};
void FreeBio(BIO* bio) { BIO_free(bio); }

using OwnedBio = std::unique_ptr<BIO, Freed<BIO, FreeBio>>;
using OwnedContext = std::unique_ptr<SSL_CTX, Freed<SSL_CTX, SSL_CTX_free>>;
using OwnedX509 = std::unique_ptr<X509, Freed<X509, X509_free>>;
using OwnedKey = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY, EVP_PKEY_free>>;

OwnedBio Reader(const std::string& pem) {
  return OwnedBio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// A daemon has nobody who could type a passphrase; OpenSSL would ask.
int NoPassphrase(char* /*buffer*/, int /*size*/, int /*is_write*/,
                 void* /*user*/) {
  return -1;
}

absl::Status Wrong(absl::string_view what) {
  ERR_clear_error();  // else OpenSSL tells it to whoever asks next
  return absl::InvalidArgumentError(what);
}

// Whether another part begins after the last whole one of `pem`. OpenSSL takes
// a line that begins one, and is torn itself, for a comment.
bool BeginsAnother(absl::string_view pem) {
  constexpr absl::string_view kBegin = "-----B";
  const size_t last_end = pem.rfind("-----END");
  if (last_end != absl::string_view::npos) pem.remove_prefix(last_end);
  const size_t rest = pem.find('\n');
  if (rest == absl::string_view::npos) return false;
  pem.remove_prefix(rest + 1);
  if (absl::StrContains(pem, kBegin)) return true;
  const absl::string_view last_line = pem.substr(pem.rfind('\n') + 1);
  return !last_line.empty() && absl::StartsWith(kBegin, last_line);
}

// Reads all of them. gRPC stops at the first that it cannot read, without a
// word: of a file that was met half-copied it would take a part.
absl::StatusOr<OwnedX509> FirstCertificate(absl::string_view flag,
                                           const std::string& pem) {
  const OwnedBio reader = Reader(pem);
  OwnedX509 first;
  while (true) {
    OwnedX509 next(
        PEM_read_bio_X509(reader.get(), nullptr, NoPassphrase, nullptr));
    if (next == nullptr) break;
    if (first == nullptr) first = std::move(next);
  }
  const auto error = ERR_peek_last_error();
  const bool at_end = ERR_GET_LIB(error) == ERR_LIB_PEM &&
                      ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  if (first == nullptr) {
    return Wrong(absl::StrCat(flag, ": is no PEM certificate"));
  }
  if (!at_end || BeginsAnother(pem)) {
    return Wrong(absl::StrCat(
        flag, ": a certificate after the first is torn, or is none"));
  }
  ERR_clear_error();
  return first;
}

absl::StatusOr<absl::Time> NotAfter(const X509& certificate) {
  std::tm fields = {};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(&certificate), &fields) != 1) {
    return Wrong("--tls_cert: the certificate says not when it expires");
  }
  return absl::FromTM(fields, absl::UTCTimeZone());
}

// By the system's policy, which would otherwise end the handshakes.
bool IsStrongEnough(X509* certificate) {
  const OwnedContext context(SSL_CTX_new(TLS_server_method()));
  return context != nullptr &&
         SSL_CTX_use_certificate(context.get(), certificate) == 1;
}

}  // namespace

absl::StatusOr<TlsMaterial> CheckTlsMaterial(std::string certificate_chain,
                                             std::string private_key,
                                             std::string client_ca,
                                             absl::Time now) {
  NEUMF_ASSIGN_OR_RETURN(const OwnedX509 certificate,
                         FirstCertificate("--tls_cert", certificate_chain));
  const OwnedKey key(PEM_read_bio_PrivateKey(Reader(private_key).get(), nullptr,
                                             NoPassphrase, nullptr));
  if (key == nullptr) {
    return Wrong("--tls_key: is no PEM private key, or has a passphrase");
  }
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return Wrong("--tls_key: does not belong to the certificate of --tls_cert");
  }
  if (!IsStrongEnough(certificate.get())) {
    return Wrong("--tls_cert: OpenSSL takes the certificate for too weak");
  }
  if (!client_ca.empty()) {
    NEUMF_RETURN_IF_ERROR(
        FirstCertificate("--tls_client_ca", client_ca).status());
  }
  NEUMF_ASSIGN_OR_RETURN(const absl::Time not_after, NotAfter(*certificate));
  if (not_after <= now) return Wrong("--tls_cert: the certificate has expired");
  return TlsMaterial{std::move(certificate_chain), std::move(private_key),
                     std::move(client_ca), not_after};
}

}  // namespace neumf
