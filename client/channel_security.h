#pragma once

// Whom a channel trusts, and who it says it is.

#include <memory>
#include <string>
#include <vector>

#include "grpcpp/security/credentials.h"
#include "grpcpp/support/client_interceptor.h"

namespace neumf {

struct ChannelSecurity {
  // PEM. Not empty: TLS, with a server whose certificate one of these signed.
  std::string server_ca;
  // PEM, both or neither: what a client shows over TLS.
  std::string certificate_chain;
  std::string private_key;
  // Sent with every call; empty: none. Without TLS everybody on the way can
  // read it.
  std::string token;
};

// TLS, or plain text.
std::shared_ptr<grpc::ChannelCredentials> MakeCredentials(
    const ChannelSecurity& security);

// What puts the token on each call of a channel; nothing without a token.
std::vector<
    std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>>
MakeTokenInterceptors(const ChannelSecurity& security);

}  // namespace neumf
