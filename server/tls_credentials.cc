#include "server/tls_credentials.h"

#include <atomic>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "base/status_macros.h"
#include "grpc/grpc.h"
#include "grpc/grpc_security.h"

namespace neumf {
namespace {

grpc_ssl_server_certificate_config* MakeConfig(const TlsMaterial& material) {
  const grpc_ssl_pem_key_cert_pair pair = {material.private_key.c_str(),
                                           material.certificate_chain.c_str()};
  // gRPC 1.51 aborts without any CA, though no client is asked for what it would
  // verify; our own certificate is one that is there.
  const std::string& client_ca = material.client_ca.empty()
                                     ? material.certificate_chain
                                     : material.client_ca;
  return grpc_ssl_server_certificate_config_create(client_ca.c_str(), &pair, 1);
}

// gRPC's C++ layer does not offer credentials that ask for their certificates,
// so this passes those of its C layer on.
class RotatingCredentials : public grpc::ServerCredentials {
 public:
  explicit RotatingCredentials(const TlsCredentials* source)
      : source_(source),
        credentials_(grpc_ssl_server_credentials_create_with_options(
            grpc_ssl_server_credentials_create_options_using_config_fetcher(
                source->verifies_clients()
                    ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                    : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
                &Fetch, this))) {}
  ~RotatingCredentials() override {
    grpc_server_credentials_release(credentials_);
  }

  // Callers are identified by Authenticator.
  void SetAuthMetadataProcessor(
      const std::shared_ptr<grpc::AuthMetadataProcessor>& /*processor*/)
      override {}

 private:
  int AddPortToServer(const std::string& address,
                      grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  // At each handshake.
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config) {
    auto* const credentials = static_cast<RotatingCredentials*>(self);
    const TlsCredentials::Current current = credentials->source_->current();
    if (credentials->fetched_generation_.exchange(current.generation) ==
        current.generation) {
      return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    }
    *config = MakeConfig(*current.material);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  const TlsCredentials* const source_;
  // What this server's handshakes use.
  std::atomic<uint64_t> fetched_generation_{0};
  grpc_server_credentials* const credentials_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TlsCredentials>> TlsCredentials::Open(
    const TlsFiles& files, const Parts& parts) {
  if (files.cert.empty() && files.key.empty()) {
    if (files.client_ca.empty()) return nullptr;
    return absl::InvalidArgumentError(
        "--tls_client_ca: needs --tls_cert and --tls_key");
  }
  if (files.key.empty()) {
    return absl::InvalidArgumentError("--tls_cert: needs --tls_key");
  }
  if (files.cert.empty()) {
    return absl::InvalidArgumentError("--tls_key: needs --tls_cert");
  }
  auto result = absl::WrapUnique(new TlsCredentials(files, parts));
  NEUMF_RETURN_IF_ERROR(result->reloaded_.Load());
  return result;
}

TlsCredentials::TlsCredentials(const TlsFiles& files, const Parts& parts)
    : parts_(parts),
      verifies_clients_(!files.client_ca.empty()),
      reloaded_(ConfigFile::kTls, {files.cert, files.key, files.client_ca},
                parts.files, parts.metrics,
                [this](const auto& texts) { return Use(texts); }) {}

absl::Status TlsCredentials::Use(const std::vector<std::string>& texts) {
  // An empty file would be taken for none, and let everybody in.
  if (verifies_clients_ && texts[2].empty()) {
    return absl::InvalidArgumentError("--tls_client_ca: is empty");
  }
  NEUMF_ASSIGN_OR_RETURN(
      TlsMaterial material,
      CheckTlsMaterial(texts[0], texts[1], texts[2], parts_.clock->WallNow()));
  parts_.metrics->SetCertificateExpiry(material.not_after);
  MutexLock lock(&mutex_);
  current_.material = std::make_shared<const TlsMaterial>(std::move(material));
  ++current_.generation;
  return absl::OkStatus();
}

TlsCredentials::Current TlsCredentials::current() const {
  MutexLock lock(&mutex_);
  return current_;
}

std::shared_ptr<grpc::ServerCredentials> TlsCredentials::ForServer() {
  made_.push_back(std::make_shared<RotatingCredentials>(this));
  return made_.back();
}

}  // namespace neumf
