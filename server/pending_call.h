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

#include <atomic>
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

struct PendingCall {
  // Pinned when the call came: rows of `queries` are rows of this snapshot.
  std::shared_ptr<const Snapshot> snapshot;
  // What has to be scored: one slot of the queue each.
  std::vector<ResolvedQuery> queries;
  // On the monotonic clock; InfiniteDuration() when the caller set none.
  absl::Duration deadline = absl::InfiniteDuration();
  // When it was put into the queue, on the monotonic clock. Set by the batcher.
  absl::Duration enqueued = absl::ZeroDuration();
  // When its answer was ready, on the monotonic clock: where the encode stage
  // begins. Set by the batcher before `done`.
  absl::Duration scored = absl::ZeroDuration();

  // Called by the batcher, on its thread, after it won Claim(): with an error,
  // or with one ranking a query, valid during the call.
  absl::AnyInvocable<void(const absl::Status&, absl::Span<const Ranking>)> done;

  // True for exactly one caller, whatever the thread.
  bool Claim() { return !claimed.exchange(true, std::memory_order_acq_rel); }

  // Lets go of the model and of what was to be scored, which gRPC would keep
  // until the client has taken its answer. For the one that answers, and for the
  // batcher when it meets a call that others finished.
  void Release() {
    snapshot = nullptr;
    queries = std::vector<ResolvedQuery>();
  }

  // The scorer reads it too: a claimed call needs no more scoring.
  std::atomic<bool> claimed{false};
};

}  // namespace neumf
