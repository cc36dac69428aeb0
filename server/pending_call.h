#pragma once

// A call that waits for the scorer.
//
// It has two owners: gRPC, until the call is over, and the batcher's queue. Who
// finishes it is decided by a race that exactly one wins: the batcher with an
// answer, the caller's cancellation or deadline, or the drain. Only the winner
// may touch the response and finish the call; a loser drops its reference. What
// was to be scored is the batcher's from Submit() on, won or lost.
//
//   if (call->Claim()) { ... write the answer, finish ... }

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "scoring/scorer.h"
#include "server/admission.h"
#include "server/snapshot.h"

namespace neumf {

// What the scorer's time is shared out by.
enum class RequestClass {
  kSingle,  // about one user
  kMany,    // about many
};

// Answers from popularity need none, and next to no time.
inline bool NeedsScorer(const ResolvedQuery& query) {
  return query.served_from != v1::SERVED_FROM_POPULAR;
}
inline size_t NumScored(absl::Span<const ResolvedQuery> queries) {
  return static_cast<size_t>(
      std::count_if(queries.begin(), queries.end(), NeedsScorer));
}

struct PendingCall {
  RequestClass request_class = RequestClass::kSingle;
  // Pinned when the call came: rows of `queries` are rows of this snapshot.
  std::shared_ptr<const Snapshot> snapshot;
  // What was blocked in it when the scoring of this call began, and still is
  // when it ends: otherwise it is scored again.
  std::shared_ptr<const BlockedRows> blocked;
  // What has to be scored: one slot of the queue each.
  std::vector<ResolvedQuery> queries;
  // On the monotonic clock; InfiniteDuration() when the caller set none.
  absl::Duration deadline = absl::InfiniteDuration();

  // Called by the batcher, on its thread, with the rankings of `queries` from
  // `first` on, valid during the call; piece by piece, in order, before `done`.
  // It must touch nothing that somebody else may have finished. A call that is
  // scored again comes from its first query on again.
  absl::AnyInvocable<void(size_t first, absl::Span<const Ranking>)> scored;
  // Called once, by the batcher on its thread, after it won Claim(): with an
  // error, or when all queries were scored.
  absl::AnyInvocable<void(const absl::Status&)> done;

  // When the call came, on the monotonic clock, as the times below are.
  absl::Duration arrived = absl::ZeroDuration();
  // When it was put into the queue, its first queries were taken from it and
  // gathered, and its last ones were scored: the borders of its stages. Set by
  // the batcher, all before `done`.
  absl::Duration enqueued = absl::ZeroDuration();
  absl::Duration taken = absl::ZeroDuration();
  absl::Duration gathered = absl::ZeroDuration();
  absl::Duration ended = absl::ZeroDuration();

  // True for exactly one caller, whatever the thread.
  bool Claim() { return !claimed.exchange(true, std::memory_order_acq_rel); }

  // Lets go of the model and of what was to be scored, which gRPC would keep
  // until the client has taken its answer. For the one that answers, and for
  // the batcher when it meets a call that others finished.
  void Release() {
    snapshot = nullptr;
    blocked = nullptr;
    queries = std::vector<ResolvedQuery>();
  }

  // The scorer reads it too: a claimed call needs no more scoring.
  std::atomic<bool> claimed{false};
};

}  // namespace neumf
