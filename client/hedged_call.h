#pragma once

#include "absl/time/time.h"
#include "client/hedge_policy.h"
#include "grpcpp/grpcpp.h"
#include "neumf/v1/recommendation_service.grpc.pb.h"

namespace neumf {

// Recommend, sent again when `policy` says so. The first answer counts, and the
// other call is cancelled. An error of one waits for the other, and where both
// fail the error is that of the first: hedging never adds one.
// Blocks until the answer is there. Any number of threads may share a stub and
// a policy.
grpc::Status HedgedRecommend(v1::RecommendationService::Stub& stub,
                             const v1::RecommendRequest& request,
                             absl::Duration timeout, HedgePolicy& policy,
                             v1::RecommendResponse* response);

}  // namespace neumf
