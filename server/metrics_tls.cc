#include "server/metrics_tls.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include <string>

namespace neumf {
namespace {

// More certificates than a chain has.
constexpr unsigned kMostCertificates = 16;

thread_local const TlsCredentials* current_credentials = nullptr;

gnutls_datum_t Datum(const std::string& text) {
  // GnuTLS only reads it.
  auto* const bytes =
      reinterpret_cast<unsigned char*>(const_cast<char*>(text.data()));
  return {bytes, static_cast<unsigned>(text.size())};
}

// In GnuTLS's own memory, as it takes them over.
struct GnuTlsPair {
  gnutls_pcert_st* chain = nullptr;
  unsigned chain_length = 0;
  gnutls_privkey_t key = nullptr;
};

void Free(const GnuTlsPair& pair) {
  for (unsigned i = 0; i < pair.chain_length; ++i) {
    gnutls_pcert_deinit(&pair.chain[i]);
  }
  gnutls_free(pair.chain);
  if (pair.key != nullptr) gnutls_privkey_deinit(pair.key);
}

bool ReadChain(const TlsMaterial& material, GnuTlsPair* pair) {
  pair->chain = static_cast<gnutls_pcert_st*>(
      gnutls_calloc(kMostCertificates, sizeof(gnutls_pcert_st)));
  if (pair->chain == nullptr) return false;
  const gnutls_datum_t pem = Datum(material.certificate_chain);
  unsigned length = kMostCertificates;
  if (gnutls_pcert_list_import_x509_raw(pair->chain, &length, &pem,
                                        GNUTLS_X509_FMT_PEM, 0) < 0) {
    return false;
  }
  pair->chain_length = length;
  return true;
}

bool ReadKey(const TlsMaterial& material, GnuTlsPair* pair) {
  const gnutls_datum_t pem = Datum(material.private_key);
  return gnutls_privkey_init(&pair->key) == 0 &&
         gnutls_privkey_import_x509_raw(pair->key, &pem, GNUTLS_X509_FMT_PEM,
                                        nullptr, 0) == 0;
}

}  // namespace

absl::Status CheckForGnuTls(const TlsMaterial& material) {
  GnuTlsPair pair;
  const bool has_chain = ReadChain(material, &pair);
  const bool has_key = ReadKey(material, &pair);
  Free(pair);
  if (has_chain && has_key) return absl::OkStatus();
  return absl::InvalidArgumentError(
      has_chain ? "GnuTLS cannot use the key of --tls_key"
                : "GnuTLS cannot use the certificates of --tls_cert");
}

GnuTlsHandshakes::GnuTlsHandshakes(const TlsCredentials* credentials) {
  current_credentials = credentials;
}

GnuTlsHandshakes::~GnuTlsHandshakes() { current_credentials = nullptr; }

int GnuTlsHandshakes::Retrieve(gnutls_session_t /*session*/,
                               const gnutls_cert_retr_st* /*info*/,
                               gnutls_pcert_st** chain, unsigned* chain_length,
                               gnutls_ocsp_data_st** ocsp,
                               unsigned* ocsp_length, gnutls_privkey_t* key,
                               unsigned* flags) {
  if (current_credentials == nullptr) return -1;
  const TlsCredentials::Current current = current_credentials->current();
  GnuTlsPair pair;
  if (!ReadChain(*current.material, &pair) ||
      !ReadKey(*current.material, &pair)) {
    Free(pair);
    return -1;  // ends the handshake
  }
  *chain = pair.chain;
  *chain_length = pair.chain_length;
  *key = pair.key;
  *ocsp = nullptr;
  *ocsp_length = 0;
  // Read anew for each handshake and freed by GnuTLS: nothing of ours would know
  // when the last handshake with an older pair is over.
  *flags = GNUTLS_CERT_RETR_DEINIT_ALL;
  return 0;
}

}  // namespace neumf
