#pragma once

// The one door from absl::Status to gRPC.

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"

namespace neumf {

// Code, message and google.rpc details.
grpc::Status ToGrpcStatus(const absl::Status& status);

// The trailer that tells a client's retry policy when to come back, and its
// value for `status` in milliseconds; none where `status` holds no RetryInfo.
constexpr char kRetryPushbackTrailer[] = "grpc-retry-pushback-ms";
std::optional<std::string> RetryPushback(const absl::Status& status);
// Puts it into the trailers of a call that is about to end with `status`.
void AddRetryPushback(const absl::Status& status,
                      grpc::CallbackServerContext* context);

}  // namespace neumf
