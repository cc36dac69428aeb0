#pragma once

// Calls that are answered from the scorer: what happens between admission and
// the answer. The batcher finishes them on its thread, unless the caller or the
// drain was faster.

#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "neumf/v1/recommendation_service.pb.h"
#include "scoring/scorer.h"
#include "server/admission.h"
#include "server/pending_call.h"
#include "server/request_batcher.h"
#include "server/unary_call.h"

namespace neumf {

class ScoringCall : public UnaryCall {
 public:
  using UnaryCall::UnaryCall;

  // The snapshot that answers all of this call.
  void set_snapshot(std::shared_ptr<const Snapshot> snapshot) {
    pending_.snapshot = std::move(snapshot);
  }
  const Snapshot& snapshot() const { return *pending_.snapshot; }

  // Answers at once when nothing needs the scorer; otherwise the batcher does.
  // REQUIRES: admission is done.
  void Proceed(RequestBatcher* batcher);

 protected:
  // Leaves `query` to the scorer.
  void AddQuery(ResolvedQuery query) {
    pending_.queries.push_back(std::move(query));
  }
  // Finishes the call with one ranking for each query that was added.
  virtual void Answer(absl::Span<const Ranking> rankings) = 0;

  // Writes the answer to `query` and counts what is remarkable about it.
  void Fill(const ResolvedQuery& query, const Ranking& ranking,
            v1::RecommendResponse* response);
  const ResolvedQuery& query(size_t i) const { return pending_.queries[i]; }

 private:
  void Abandoned() override { pending_.Claim(); }

  PendingCall pending_;
};

// Recommend.
class RecommendCall : public ScoringCall {
 public:
  using ScoringCall::ScoringCall;

  void Admit(ResolvedQuery query);

 private:
  void Answer(absl::Span<const Ranking> rankings) override;

  v1::RecommendResponse response_;
};

// BatchRecommend.
class BatchCall : public ScoringCall {
 public:
  using ScoringCall::ScoringCall;

  // The outcome of admission for the next request of the batch.
  void Admit(absl::StatusOr<ResolvedQuery> query);

 private:
  void Answer(absl::Span<const Ranking> rankings) override;

  v1::BatchRecommendResponse response_;
  std::vector<int> scored_results_;  // the result that belongs to each query
};

}  // namespace neumf
