#pragma once

// What a TLS server shows and trusts, checked before it is used.

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace neumf {

struct TlsMaterial {
  // All PEM. The chain begins with our own certificate.
  std::string certificate_chain;
  std::string private_key;
  // Who signs the certificates that clients have to show; empty: they show none.
  std::string client_ca;
  // When our certificate expires.
  absl::Time not_after;
};

// INVALID_ARGUMENT names the flag of the text that is no PEM, in any of its
// certificates, or says that key and certificate do not belong together, or
// that the certificate has expired at `now`. It holds nothing of the texts.
absl::StatusOr<TlsMaterial> CheckTlsMaterial(std::string certificate_chain,
                                             std::string private_key,
                                             std::string client_ca,
                                             absl::Time now);

}  // namespace neumf
