#include "client/recommendation_client.h"

#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/hedged_call.h"
#include "client/rpc.h"

namespace neumf {
namespace {

// gRPC itself allows no more.
constexpr int kMaxAttempts = 5;

// Requests are kept until the last attempt; the largest that a server takes is
// 1 MiB, and what passes gRPC's default of 256 KiB would not be tried again.
constexpr int kRetryBufferBytes = 1 << 20;

absl::Status CheckOptions(const RecommendationClient::Options& options) {
  if (options.target.empty()) {
    return absl::InvalidArgumentError("the target is empty");
  }
  if (options.timeout <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("the timeout must be above 0");
  }
  if (options.max_attempts < 1 || options.max_attempts > kMaxAttempts) {
    return absl::InvalidArgumentError(
        absl::StrFormat("max_attempts is %d; it must be 1 to %d",
                        options.max_attempts, kMaxAttempts));
  }
  if (options.initial_backoff < absl::Milliseconds(1) ||
      options.max_backoff < options.initial_backoff) {
    return absl::InvalidArgumentError(
        "the back-off must be at least 1 ms and not above its maximum");
  }
  return absl::OkStatus();
}

// The retries are gRPC's own (gRFC A6), which brings jitter, push-back and
// throttling with it; this asks for them.
std::string RetryConfig(const RecommendationClient::Options& options) {
  return absl::StrFormat(
      R"("methodConfig": [{
            "name": [{"service": "%s"}],
            "retryPolicy": {
              "maxAttempts": %d,
              "initialBackoff": "%.3fs",
              "maxBackoff": "%.3fs",
              "backoffMultiplier": 2,
              "retryableStatusCodes": ["UNAVAILABLE"]}}],
          "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1})",
      v1::RecommendationService::service_full_name(), options.max_attempts,
      absl::ToDoubleSeconds(options.initial_backoff),
      absl::ToDoubleSeconds(options.max_backoff));
}

// A server without a health service counts as healthy (gRFC A17).
std::string BalancingConfig() {
  return absl::StrFormat(
      R"("loadBalancingConfig": [{"round_robin": {}}],
         "healthCheckConfig": {"serviceName": "%s"})",
      v1::RecommendationService::service_full_name());
}

// deploy/service_config.json says the same to clients in other languages.
grpc::ChannelArguments MakeArguments(
    const RecommendationClient::Options& options) {
  grpc::ChannelArguments arguments;
  std::vector<std::string> config;
  if (options.max_attempts == 1) {
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  } else {
    arguments.SetInt(GRPC_ARG_PER_RPC_RETRY_BUFFER_SIZE, kRetryBufferBytes);
    config.push_back(RetryConfig(options));
  }
  if (options.balance) config.push_back(BalancingConfig());
  arguments.SetServiceConfigJSON(
      absl::StrCat("{", absl::StrJoin(config, ", "), "}"));
  return arguments;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RecommendationClient>>
RecommendationClient::Create(const Options& options) {
  const absl::Status status = CheckOptions(options);
  if (!status.ok()) return status;
  return absl::WrapUnique(new RecommendationClient(
      options,
      MakeChannel(options.target, MakeArguments(options), options.security)));
}

RecommendationClient::RecommendationClient(
    const Options& options, const std::shared_ptr<grpc::Channel>& channel)
    : timeout_(options.timeout),
      stub_(v1::RecommendationService::NewStub(channel)),
      hedges_(options.hedge ? std::make_unique<HedgePolicy>() : nullptr) {}

absl::StatusOr<v1::RecommendResponse> RecommendationClient::Recommend(
    const v1::RecommendRequest& request) const {
  v1::RecommendResponse response;
  const grpc::Status status =
      hedges_ != nullptr
          ? HedgedRecommend(*stub_, request, timeout_, *hedges_, &response)
          : RecommendOnce(request, &response);
  if (!status.ok()) return FromGrpcStatus(status);
  return response;
}

grpc::Status RecommendationClient::RecommendOnce(
    const v1::RecommendRequest& request,
    v1::RecommendResponse* response) const {
  grpc::ClientContext context;
  SetTimeout(timeout_, &context);
  return stub_->Recommend(&context, request, response);
}

absl::StatusOr<v1::BatchRecommendResponse> RecommendationClient::BatchRecommend(
    const v1::BatchRecommendRequest& request) const {
  grpc::ClientContext context;
  SetTimeout(timeout_, &context);
  v1::BatchRecommendResponse response;
  const grpc::Status status =
      stub_->BatchRecommend(&context, request, &response);
  if (!status.ok()) return FromGrpcStatus(status);
  return response;
}

}  // namespace neumf
