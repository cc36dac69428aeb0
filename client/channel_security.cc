#include "client/channel_security.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace neumf {
namespace {

using grpc::experimental::ClientInterceptorFactoryInterface;
using grpc::experimental::ClientRpcInfo;
using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::Interceptor;
using grpc::experimental::InterceptorBatchMethods;

// gRPC's own credentials for calls refuse to work on plain text, which is all
// that a loopback or unix socket needs.
class TokenInterceptor : public Interceptor {
 public:
  explicit TokenInterceptor(const std::string& header) : header_(header) {}

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(
            InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      methods->GetSendInitialMetadata()->emplace("authorization", header_);
    }
    methods->Proceed();
  }

 private:
  const std::string& header_;
};

class TokenInterceptorFactory : public ClientInterceptorFactoryInterface {
 public:
  explicit TokenInterceptorFactory(const std::string& token)
      : header_(absl::StrCat("Bearer ", token)) {}

  Interceptor* CreateClientInterceptor(ClientRpcInfo* /*info*/) override {
    return new TokenInterceptor(header_);
  }

 private:
  const std::string header_;
};

}  // namespace

std::shared_ptr<grpc::ChannelCredentials> MakeCredentials(
    const ChannelSecurity& security) {
  if (security.server_ca.empty()) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = security.server_ca;
  options.pem_cert_chain = security.certificate_chain;
  options.pem_private_key = security.private_key;
  return grpc::SslCredentials(options);
}

std::vector<std::unique_ptr<ClientInterceptorFactoryInterface>>
MakeTokenInterceptors(const ChannelSecurity& security) {
  std::vector<std::unique_ptr<ClientInterceptorFactoryInterface>> factories;
  if (!security.token.empty()) {
    factories.push_back(
        std::make_unique<TokenInterceptorFactory>(security.token));
  }
  return factories;
}

}  // namespace neumf
