#pragma once

// Calls that are answered from the scorer, or from popularity: what happens
// between admission and the answer. The batcher finishes them on its thread,
// unless the caller or the drain was faster.
//
// gRPC may keep an answered call for long. So it lets go of its model before it
// is finished: only the bytes of the answer wait for the client.

#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "neumf/v1/recommendation_service.pb.h"
#include "scoring/scorer.h"
#include "server/admission.h"
#include "server/caller_quotas.h"
#include "server/pending_call.h"
#include "server/request_batcher.h"
#include "server/shadow_scorer.h"
#include "server/unary_call.h"
#include "server/version_trial.h"

namespace neumf {

class ScoringCall : public UnaryCall {
 public:
  using UnaryCall::UnaryCall;

  // The snapshot that answers all of this call.
  void set_snapshot(std::shared_ptr<const Snapshot> snapshot) {
    if (logged() != nullptr) {
      logged()->set_model_version(snapshot->version_text);
    }
    pending_.blocked = snapshot->blocked->Get();
    pending_.snapshot = std::move(snapshot);
    pending_.request_class = request_class();
    pending_.deadline = record().deadline();
  }
  const Snapshot& snapshot() const { return *pending_.snapshot; }
  // What this call must not be answered with; once it waits for the scorer, of
  // the batcher's thread alone.
  const BlockedRows& blocked() const { return *pending_.blocked; }

  // Finishes the call with an error. REQUIRES: the batcher does not have it.
  void Fail(const absl::Status& status);
  // Whether the batcher would take it now with so many queries. REQUIRES: it
  // has its snapshot.
  absl::Status CheckRoom(RequestBatcher* batcher, size_t num_users) const {
    return batcher->CheckRoom(pending_, num_users);
  }
  // Of which the call has taken num_users() for its caller. It gives them back
  // when it is UNAVAILABLE before the scorer was asked: not when the drain ends
  // it, nor for what the scorer failed at. Set it before Proceed().
  void set_quotas(CallerQuotas* quotas) { quotas_ = quotas; }
  // How many users it is about.
  virtual size_t num_users() const = 0;
  // Answers at once when there is nothing to rank; otherwise the batcher does.
  // An error is its refusal, with which the call has yet to Fail().
  // REQUIRES: admission is done. The snapshot may be gone afterwards.
  absl::Status Proceed(RequestBatcher* batcher);

 protected:
  // Leaves `query` to the batcher.
  void AddQuery(ResolvedQuery query) {
    pending_.queries.push_back(std::move(query));
  }
  virtual RequestClass request_class() const = 0;
  // The answer that the batcher gave was sent.
  virtual void Answered() {}
  // Writes the rankings of the queries from `first` on into the answer.
  virtual void Take(size_t first, absl::Span<const Ranking> rankings) = 0;
  // Why an answer that took all rankings is none. Called once, before Encode().
  virtual absl::Status Complete() { return absl::OkStatus(); }
  // The bytes of the answer, which is complete. Called once.
  virtual grpc::ByteBuffer Encode() = 0;

  // Writes the answer to `query` and counts what is remarkable about it.
  void Fill(const ResolvedQuery& query, const Ranking& ranking,
            v1::RecommendResponse* response);
  // Writes what was ranked; where the user was blocked after the call was
  // admitted, the answer or error of a user that nobody knows. `response` may
  // hold what was said before the call was scored again.
  absl::Status FillScored(const ResolvedQuery& query, const Ranking& ranking,
                          v1::RecommendResponse* response);
  const ResolvedQuery& query(size_t i) const { return pending_.queries[i]; }

 private:
  // That OnCancel() and OnDone() wait for nobody, so that gRPC may call them
  // from any thread that works for it, even ours that answer calls, in place of
  // waking another one for each: whoever calls gRPC holds no lock that they
  // take. It has no public name for that, so only the calls do it that come by
  // the thousand; that one overrides it is checked here. Not for a client who
  // is gone: one that resets all its calls could keep a thread that reads to
  // itself as long as it likes, and what waits behind it there.
  bool InternalInlineable() override { return !IsCancelled(); }
  // Finishes the call; returns false if it was finished before.
  bool Answer();
  void Abandoned() override { pending_.Claim(); }
  void GiveQuotaBack();

  PendingCall pending_;
  CallerQuotas* quotas_ = nullptr;  // null: it has taken none
};

// Recommend.
class RecommendCall : public ScoringCall {
 public:
  using ScoringCall::ScoringCall;
  // When gRPC and the batcher are done with it: tells the trial how it ended.
  ~RecommendCall() override;

  void Admit(ResolvedQuery query) { AddQuery(std::move(query)); }
  // The call is part of a trial, as `arm` says.
  void set_trial(std::shared_ptr<VersionTrial> trial, VersionTrial::Arm arm) {
    trial_ = std::move(trial);
    arm_ = arm;
  }
  VersionTrial::Arm arm() const { return arm_; }
  // Its answer goes to `shadows`, which must outlive it.
  void set_shadow(ShadowScorer* shadows, v1::RecommendRequest request) {
    shadows_ = shadows;
    request_ = std::move(request);
  }
  size_t num_users() const override { return 1; }

 private:
  RequestClass request_class() const override { return RequestClass::kSingle; }
  void Answered() override;
  void Take(size_t first, absl::Span<const Ranking> rankings) override;
  absl::Status Complete() override { return status_; }
  grpc::ByteBuffer Encode() override { return SerializeToBuffer(response_); }

  absl::Status status_;
  v1::RecommendResponse response_;
  std::shared_ptr<VersionTrial> trial_;  // null: it is part of none
  VersionTrial::Arm arm_ = VersionTrial::Arm::kNone;
  ShadowScorer* shadows_ = nullptr;
  v1::RecommendRequest request_;  // for `shadows_`
};

// BatchRecommend.
class BatchCall : public ScoringCall {
 public:
  using ScoringCall::ScoringCall;

  // The outcome of admission for the next request of the batch.
  void Admit(absl::StatusOr<ResolvedQuery> query);
  size_t num_users() const override {
    return static_cast<size_t>(response_.results_size());
  }

 private:
  RequestClass request_class() const override { return RequestClass::kMany; }
  void Take(size_t first, absl::Span<const Ranking> rankings) override;
  grpc::ByteBuffer Encode() override { return SerializeToBuffer(response_); }

  v1::BatchRecommendResponse response_;
  std::vector<int> ranked_results_;  // the result that belongs to each query
};

}  // namespace neumf
