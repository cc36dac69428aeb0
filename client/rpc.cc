#include "client/rpc.h"

#include "absl/strings/cord.h"
#include "absl/time/clock.h"
#include "google/rpc/status.pb.h"

namespace neumf {
namespace {

// Servers take a client that pings more often than every 30 s for an attacker.
constexpr absl::Duration kKeepaliveTime = absl::Seconds(60);
constexpr absl::Duration kKeepaliveTimeout = absl::Seconds(20);

int InMilliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

}  // namespace

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& target,
                                           grpc::ChannelArguments arguments,
                                           const ChannelSecurity& security) {
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, InMilliseconds(kKeepaliveTime));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                   InMilliseconds(kKeepaliveTimeout));
  // gRPC would send even what is for this machine to $http_proxy.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::experimental::CreateCustomChannelWithInterceptors(
      target, MakeCredentials(security), arguments,
      MakeTokenInterceptors(security));
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  // gRPC and Abseil number their codes alike.
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message());
  google::rpc::Status details;
  if (details.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& detail : details.details()) {
      result.SetPayload(detail.type_url(), absl::Cord(detail.value()));
    }
  }
  return result;
}

void SetTimeout(absl::Duration timeout, grpc::ClientContext* context) {
  context->set_deadline(absl::ToChronoTime(absl::Now() + timeout));
}

}  // namespace neumf
