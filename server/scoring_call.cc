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
  pending_.request_class = request_class();
  pending_.arrived = record().started();
  pending_.deadline = record().deadline();
  pending_.scored = [this](size_t first, absl::Span<const Ranking> rankings) {
    Take(first, rankings);
  };
  pending_.done = [this, metrics](const absl::Status& status) {
    if (!status.ok()) return Fail(status);
    if (!Answer()) return;
    // The rest of its time: the batcher has counted the other stages.
    metrics->StageTook(
        Stage::kEncode,
        record().started() + record().handling() - pending_.ended);
    Answered();
  };
  return batcher->Submit(
      std::shared_ptr<PendingCall>(shared_from_this(), &pending_));
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
  pending_.Release();
  FinishWithError(status);
}

void ScoringCall::Fill(const ResolvedQuery& query, const Ranking& ranking,
                       v1::RecommendResponse* response) {
  FillResponse(query, ranking, snapshot(), response);
  if (ranking.items.size() < query.k) record().parts().metrics->Shortfall();
}

void ScoringCall::FillPopular(const ResolvedQuery& query,
                              v1::RecommendResponse* response) {
  Fill(query, RankByPopularity(query, snapshot(), blocked()), response);
}

absl::Status ScoringCall::FillScored(const ResolvedQuery& query,
                                     const Ranking& ranking,
                                     v1::RecommendResponse* response) {
  response->Clear();
  if (!blocked().BlocksUser(query.user_row)) {
    Fill(query, ranking, response);
    return absl::OkStatus();
  }
  const absl::StatusOr<ResolvedQuery> unknown = WithoutUser(query);
  if (unknown.ok()) {
    FillPopular(*unknown, response);
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
  if (shadows_ == nullptr) return;
  shadows_->Add({trial_, std::move(request_), std::move(response_)});
}

void RecommendCall::Admit(ResolvedQuery query) {
  if (query.served_from == v1::SERVED_FROM_POPULAR) {
    FillPopular(query, &response_);
  } else {
    AddQuery(std::move(query));
  }
}

void RecommendCall::Take(size_t /*first*/, absl::Span<const Ranking> rankings) {
  status_ = FillScored(query(0), rankings[0], &response_);
}

void BatchCall::Admit(absl::StatusOr<ResolvedQuery> query) {
  const int index = response_.results_size();
  v1::RecommendResult* result = response_.add_results();
  if (!query.ok()) {
    *result->mutable_error() = ToRpcStatus(query.status());
  } else if (query->served_from == v1::SERVED_FROM_POPULAR) {
    popular_.push_back({index, *std::move(query)});
  } else {
    AddQuery(*std::move(query));
    scored_results_.push_back(index);
  }
}

void BatchCall::Take(size_t first, absl::Span<const Ranking> rankings) {
  for (size_t i = 0; i < rankings.size(); ++i) {
    v1::RecommendResult* const result =
        response_.mutable_results(scored_results_[first + i]);
    const absl::Status filled =
        FillScored(query(first + i), rankings[i], result->mutable_response());
    if (!filled.ok()) *result->mutable_error() = ToRpcStatus(filled);
  }
}

absl::Status BatchCall::Complete() {
  const CallRecord& call = record();
  for (const PopularQuery& popular : popular_) {
    // A thousand of them take milliseconds.
    if (finished()) return absl::CancelledError("the call is over");
    if (call.deadline() <= call.parts().clock->MonotonicNow()) {
      call.parts().metrics->RequestExpired(Stage::kEncode);
      return absl::DeadlineExceededError(
          "the deadline passed before the request was answered");
    }
    FillPopular(popular.query,
                response_.mutable_results(popular.result)->mutable_response());
  }
  popular_ = std::vector<PopularQuery>();
  return absl::OkStatus();
}

}  // namespace neumf
