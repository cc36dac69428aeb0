#pragma once

// Asks a neumf server for recommendations.
//
//   RecommendationClient::Options options;
//   options.target = "127.0.0.1:50051";
//   NEUMF_ASSIGN_OR_RETURN(auto client, RecommendationClient::Create(options));
//   v1::RecommendRequest request;
//   request.set_user_id("42");
//   NEUMF_ASSIGN_OR_RETURN(v1::RecommendResponse response,
//                          client->Recommend(request));
//
// CONTRACT
// 1. DEADLINE. Every call ends within `Options::timeout`, all attempts and the
//    waits between them included; the server knows the deadline and drops the
//    call when it has passed.
// 2. RETRIES. Only UNAVAILABLE is tried again: nothing was done, and reading
//    twice is harmless. The waits grow exponentially with jitter. When the
//    server says how long to wait (grpc-retry-pushback-ms), that counts
//    instead; a value that is negative or not a number forbids another attempt.
//    While most calls fail, retries stop, so that a server which is down is not
//    flooded.
// 3. BALANCING. With `Options::balance` calls go round all addresses of the
//    target that are healthy: "dns:///host:port" with several records, or
//    "ipv4:A:PORT,B:PORT".
// 4. HEDGING. With `Options::hedge` a Recommend that takes longer than 95 % of
//    the latest ones is sent once more, the first answer counts and the other
//    call is cancelled; an error counts only when both have failed. At most 5 % of the calls are sent twice, see
//    hedge_policy.h.
// 5. ERRORS. Code and message are the server's; its google.rpc details are
//    payloads of the absl::Status, see rpc.h.
//
// Any number of threads may call any method; one client a process is enough, as
// calls share its connection.

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/channel_security.h"
#include "client/hedge_policy.h"
#include "neumf/v1/recommendation_service.grpc.pb.h"

namespace neumf {

class RecommendationClient {
 public:
  struct Options {
    // "host:port", "dns:///host:port" or "unix:PATH".
    std::string target;
    // Default: plain text without a token, for the machine itself or a network
    // that you trust.
    ChannelSecurity security;
    // Of one call with all its attempts. Default: 2 s.
    absl::Duration timeout = absl::Seconds(2);
    // Attempts of one call, 1 to 5; 1 never retries. More hide longer outages
    // and add load while the server is short of it. Default: 3.
    int max_attempts = 3;
    // The wait before the second attempt, doubled before each further one up to
    // `max_backoff`, both give or take jitter. Defaults: 20 ms, 200 ms.
    absl::Duration initial_backoff = absl::Milliseconds(20);
    absl::Duration max_backoff = absl::Milliseconds(200);
    // Spread calls over all addresses of the target in turn, but for those
    // whose health service says that they do not serve. Off, all calls go to
    // the first address that can be reached. Default: off.
    bool balance = false;
    // Send slow calls of Recommend a second time: hides the stall of one server
    // of several, so use it with `balance`. Default: off.
    bool hedge = false;
  };

  // INVALID_ARGUMENT for options out of range. Does not connect: the first call
  // does.
  static absl::StatusOr<std::unique_ptr<RecommendationClient>> Create(
      const Options& options);

  absl::StatusOr<v1::RecommendResponse> Recommend(
      const v1::RecommendRequest& request) const;

  // Fails as a whole only; what is wrong with one request stands in its result.
  absl::StatusOr<v1::BatchRecommendResponse> BatchRecommend(
      const v1::BatchRecommendRequest& request) const;

 private:
  RecommendationClient(const Options& options,
                       const std::shared_ptr<grpc::Channel>& channel);

  grpc::Status RecommendOnce(const v1::RecommendRequest& request,
                             v1::RecommendResponse* response) const;

  const absl::Duration timeout_;
  const std::unique_ptr<v1::RecommendationService::Stub> stub_;
  const std::unique_ptr<HedgePolicy> hedges_;  // null: none
};

}  // namespace neumf
