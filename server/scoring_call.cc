#include "server/scoring_call.h"

#include <utility>

#include "server/errors.h"

namespace neumf {

absl::Status ScoringCall::Proceed(RequestBatcher* batcher) {
  ServerMetrics* const metrics = record().parts().metrics;
  if (pending_.queries.empty()) {
    const absl::Duration admission = record().Elapsed();
    if (!Answer()) return absl::OkStatus();
    metrics->StageTook(Stage::kAdmission, admission);
    metrics->StageTook(Stage::kEncode, record().handling() - admission);
    return absl::OkStatus();
  }
  pending_.arrived = record().started();
  pending_.scored = [this](size_t first, absl::Span<const Ranking> rankings) {
    Take(first, rankings);
  };
  pending_.done = [this, metrics](const absl::Status& status) {
    if (!status.ok()) {
      const bool was_scored = pending_.taken != absl::ZeroDuration();
      if (absl::IsUnavailable(status) && !was_scored) GiveQuotaBack();
      return Fail(status);
    }
    if (!Answer()) return;
    // The rest of its time: the batcher has counted the other stages.
    metrics->StageTook(
        Stage::kEncode,
        record().started() + record().handling() - pending_.ended);
    Answered();
  };
  absl::Status submitted = batcher->Submit(
      std::shared_ptr<PendingCall>(shared_from_this(), &pending_));
  if (!submitted.ok()) GiveQuotaBack();
  return submitted;
}

void ScoringCall::GiveQuotaBack() {
  if (quotas_ != nullptr) quotas_->GiveBack(record().caller(), num_users());
}

bool ScoringCall::Answer() {
  const absl::Status complete = Complete();
  if (!complete.ok()) {
    Fail(complete);
    return false;
  }
  grpc::ByteBuffer bytes = Encode();
  pending_.Release();
  return FinishWithBytes(std::move(bytes));
}

void ScoringCall::Fail(const absl::Status& status) {
  const bool was_queued = pending_.enqueued != absl::ZeroDuration();
  const bool is_refusal =
      absl::IsUnavailable(status) || absl::IsResourceExhausted(status);
  if (is_refusal && !was_queued) {
    record().parts().metrics->CallRefused(record().Elapsed());
  }
  pending_.Release();
  FinishWithError(status);
}

void ScoringCall::Fill(const ResolvedQuery& query, const Ranking& ranking,
                       v1::RecommendResponse* response) {
  FillResponse(query, ranking, snapshot(), response);
  if (ranking.items.size() < query.k) record().parts().metrics->Shortfall();
}

absl::Status ScoringCall::FillScored(const ResolvedQuery& query,
                                     const Ranking& ranking,
                                     v1::RecommendResponse* response) {
  response->Clear();
  // Who is answered from popularity has no row.
  if (query.served_from == v1::SERVED_FROM_POPULAR ||
      !blocked().BlocksUser(query.user_row)) {
    Fill(query, ranking, response);
    return absl::OkStatus();
  }
  const absl::StatusOr<ResolvedQuery> unknown = WithoutUser(query);
  if (unknown.ok()) {
    Fill(*unknown, RankByPopularity(*unknown, snapshot(), blocked()), response);
  } else {
    record().parts().metrics->UnknownUser();
  }
  return unknown.status();
}

RecommendCall::~RecommendCall() {
  const bool counts = arm_ == VersionTrial::Arm::kServed ||
                      arm_ == VersionTrial::Arm::kCandidate;
  if (counts) trial_->Answered(arm_, record().code(), record().handling());
}

void RecommendCall::Answered() {
  // From popularity: it would say nothing about the candidate's scores.
  const bool is_scored = response_.served_from() == v1::SERVED_FROM_MODEL;
  if (shadows_ == nullptr || !is_scored) return;
  shadows_->Add({trial_, std::move(request_), std::move(response_)});
}

void RecommendCall::Take(size_t /*first*/, absl::Span<const Ranking> rankings) {
  status_ = FillScored(query(0), rankings[0], &response_);
}

void BatchCall::Admit(absl::StatusOr<ResolvedQuery> query) {
  const int index = response_.results_size();
  v1::RecommendResult* result = response_.add_results();
  if (!query.ok()) {
    *result->mutable_error() = ToRpcStatus(query.status());
  } else {
    AddQuery(*std::move(query));
    ranked_results_.push_back(index);
  }
}

void BatchCall::Take(size_t first, absl::Span<const Ranking> rankings) {
  for (size_t i = 0; i < rankings.size(); ++i) {
    v1::RecommendResult* const result =
        response_.mutable_results(ranked_results_[first + i]);
    const absl::Status filled =
        FillScored(query(first + i), rankings[i], result->mutable_response());
    if (!filled.ok()) *result->mutable_error() = ToRpcStatus(filled);
  }
}

}  // namespace neumf
