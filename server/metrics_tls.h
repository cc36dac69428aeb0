#pragma once

// The certificate of the metrics endpoint, for GnuTLS, the only library that its
// web server speaks TLS with. The fence for GnuTLS.

#include <gnutls/abstract.h>

#include "absl/status/status.h"
#include "server/tls_credentials.h"
#include "server/tls_material.h"

namespace neumf {

// INVALID_ARGUMENT when GnuTLS cannot use what CheckTlsMaterial() let pass, as
// keys on some curves.
absl::Status CheckForGnuTls(const TlsMaterial& material);

// While it lives, handshakes on the thread that made it use `credentials`, as
// GnuTLS has nothing of ours to pass on to its callback.
class GnuTlsHandshakes {
 public:
  // Null: there are none. Otherwise it must outlive this.
  explicit GnuTlsHandshakes(const TlsCredentials* credentials);
  ~GnuTlsHandshakes();
  GnuTlsHandshakes(const GnuTlsHandshakes&) = delete;
  GnuTlsHandshakes& operator=(const GnuTlsHandshakes&) = delete;

  // GnuTLS's callback: the pair that is current, so that a rotated one counts
  // from the next connection on.
  static gnutls_certificate_retrieve_function3 Retrieve;
};

}  // namespace neumf
