#pragma once

// neumf.v1.RecommendationService over gRPC's callback API.
//
// A handler checks, finds rows and hands the call to the batcher; it never
// blocks and never scores. Requests come as bytes and are parsed here, so that
// whatever a caller sends gets the documented error: gRPC's own parsing makes
// UNIMPLEMENTED or INTERNAL of it.

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "neumf/v1/recommendation_service.grpc.pb.h"
#include "server/admission.h"
#include "server/call_record.h"
#include "server/caller.h"
#include "server/caller_quotas.h"
#include "server/request_batcher.h"
#include "server/scoring_call.h"
#include "server/shadow_scorer.h"
#include "server/snapshot_holder.h"
#include "server/version_trial.h"

namespace neumf {

class RecommendationService
    : public v1::RecommendationService::WithRawCallbackMethod_Recommend<
          v1::RecommendationService::WithRawCallbackMethod_BatchRecommend<
              v1::RecommendationService::Service>> {
 public:
  // Largest answer that we make, estimated before any work: clients of gRPC
  // refuse more unless they are told otherwise.
  static constexpr int64_t kMaxAnswerBytes = 4 << 20;

  // What it works with; all must outlive the server that offers this.
  struct Parts {
    CallParts calls;
    const SnapshotHolder* snapshots = nullptr;
    RequestBatcher* batcher = nullptr;
    CallerQuotas* quotas = nullptr;
    const TrialHolder* trials = nullptr;
    ShadowScorer* shadows = nullptr;  // null: no trial has a shadow phase
  };

  RecommendationService(const RequestLimits& limits, const Parts& parts);

  grpc::ServerUnaryReactor* Recommend(grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer* request,
                                      grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* BatchRecommend(grpc::CallbackServerContext* context,
                                           const grpc::ByteBuffer* request,
                                           grpc::ByteBuffer* response) override;

 private:
  // What is refused whatever it asks for: CANCELLED, DEADLINE_EXCEEDED,
  // UNAVAILABLE.
  absl::Status Welcome(const grpc::CallbackServerContext& context,
                       const CallRecord& record) const;
  // Parses and checks. What is not OK is the end of the call.
  absl::Status Admit(const grpc::ByteBuffer& bytes, const Caller& caller,
                     RecommendCall* call) const;
  absl::Status Admit(const grpc::ByteBuffer& bytes, const Caller& caller,
                     BatchCall* call) const;
  // Has the call written to the request log if its turn has come.
  template <typename Request>
  void Sample(const Request& request, ScoringCall* call) const;
  absl::Status PinSnapshot(ScoringCall* call) const;
  // Makes the call part of the trial that is on, if there is one: some users
  // have their calls pinned to the candidate.
  void JoinTrial(const std::string& user_id, RecommendCall* call) const;
  // Puts the version that answers there. REQUIRES: both came first.
  static void LogVersion(ScoringCall* call);
  absl::StatusOr<ResolvedQuery> ResolveFor(const v1::RecommendRequest& request,
                                           const ScoringCall& call) const;
  absl::Status CheckAnswerSize(const v1::BatchRecommendRequest& batch,
                               const Snapshot& snapshot) const;

  template <typename Call>
  grpc::ServerUnaryReactor* Handle(RpcMethod method,
                                   grpc::CallbackServerContext* context,
                                   const grpc::ByteBuffer& request,
                                   grpc::ByteBuffer* response);

  const RequestLimits limits_;
  const Parts parts_;
};

}  // namespace neumf
