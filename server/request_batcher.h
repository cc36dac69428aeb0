#pragma once

// Turns calls into batches for the scorer, on one thread.
//
// A free scorer starts at once with whatever waits; while it works, calls pile
// up and make the next batches (request_queue.h), unless there are too many of
// them (load_control.h). Calls whose deadline has passed or that somebody else
// finished leave the queue whenever a batch forms, wherever they stand.
//
// CONTRACT
// 1. Every call that Submit() took is answered by its `done`, unless somebody
//    else claimed it: exactly one of the two.
// 2. Order is first come, first served in each class and version; so the
//    versions that one user sees never go back by themselves.
// 3. `scored` and `done` run on the batcher's thread and must not block.
// 4. It observes the stages queue, gather and score, and counts what it
//    refuses, and what expired or was cancelled in its hands.
// 5. No answer holds what was blocked in its snapshot when its last query was
//    scored: the call is scored again, in the same place of the order.
// 6. It reports a GPU that fails, and asks no scorer of a GPU that has failed:
//    its calls get UNAVAILABLE at once.
// 7. What is answered from popularity waits and is refused as all else: it
//    needs no scorer, but a flood of it needs bounds. A scorer that fails takes
//    the answer from those calls alone that ask for scored users, too.
//
// Any thread may call any method.

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "model/user_vectors.h"
#include "server/load_control.h"
#include "server/pending_call.h"
#include "server/recent_queries.h"
#include "server/request_queue.h"
#include "server/scoring_device.h"
#include "server/server_metrics.h"

namespace neumf {

class RequestBatcher {
 public:
  struct Options {
    LoadControl::Options load;
    // How long an idle scorer waits for a batch of calls about one user to fill
    // up. Default: not at all.
    absl::Duration max_queue_delay = absl::ZeroDuration();
  };

  // `recent` is told what is asked for. All pointers must outlive this.
  RequestBatcher(const Options& options, const Clock* clock,
                 ScoringDevice* device, RecentQueries* recent,
                 ServerMetrics* metrics);
  // Stop()s.
  ~RequestBatcher();

  // Takes the call, or says UNAVAILABLE (QUEUE_FULL, WAIT_TOO_LONG, OVERLOADED,
  // DRAINING) without touching it. REQUIRES: call->queries is not empty.
  absl::Status Submit(std::shared_ptr<PendingCall> call);

  // What Submit() would say now if the call had `num_users` queries: before
  // they are made, which may take milliseconds. Its class, snapshot and deadline
  // are set.
  absl::Status CheckRoom(const PendingCall& call, size_t num_users);

  // Answers what waits with UNAVAILABLE, refuses what comes, and returns when
  // the thread has ended: at most one batch later. Idempotent.
  void Stop();

  // When the thread last was alive and not inside the scorer, on the monotonic
  // clock; the present while it waits for work.
  absl::Duration last_heartbeat() const;

  // Whether more calls about one user wait than the next batch takes. Those
  // about many are meant to wait. Takes no lock: who asks may have so low a
  // priority that it would hold one for long.
  bool IsBehind() const { return is_behind_.load(std::memory_order_relaxed); }

 private:
  using Calls = RequestQueue::Calls;
  using Batch = std::vector<CallPiece>;

  // What leaves the queue at once.
  struct Work {
    Batch batch;      // to be scored
    Calls expired;    // claimed by us; to be answered
    Calls shed;       // the same
    Calls abandoned;  // claimed by others; to be released outside the lock

    bool empty() const {
      return batch.empty() && expired.empty() && shed.empty() &&
             abandoned.empty();
    }
  };

  std::optional<LoadControl::Refusal> Refuse(const PendingCall& call,
                                             const LoadControl::Demand& demand,
                                             absl::Duration now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Refused(const LoadControl::Refusal& refusal);

  void Run();
  // Waits until a batch is due and takes it; empty when stopping.
  Work WaitForWork();
  // When the next batch should leave the queue: now, unless it may fill up.
  absl::Duration BatchDue() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropFinishedCalls(absl::Duration now, Work* work)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Says so to those who do not look into it.
  void QueueChanged() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void Process(const Work& work);
  void ProcessBatch(const Batch& batch);
  void GatherQueries(const Batch& batch);
  absl::Status ScoreQueries(const Snapshot& snapshot);
  // Adds the rankings of those that no scorer was asked for, in the order of
  // the batch.
  void RankPopular(const Batch& batch);
  void ReportFailure(const Snapshot& snapshot, const absl::Status& status);
  void Deliver(const Batch& batch);
  void ScoreAgain(const Calls& calls);
  void EndCall(PendingCall* call);
  void ScoringFailed(const Batch& batch, const absl::Status& status);
  void FailBatch(const Batch& batch, const absl::Status& status);
  void CountLost(const PendingCall& call, Stage stage, absl::Duration now);
  void AnswerRemaining();

  const Options options_;
  const Clock* const clock_;
  ScoringDevice* const device_;
  RecentQueries* const recent_;
  ServerMetrics* const metrics_;

  mutable Mutex mutex_;
  CondVar wake_;
  RequestQueue queue_ ABSL_GUARDED_BY(mutex_);
  LoadControl load_ ABSL_GUARDED_BY(mutex_);
  bool idle_ ABSL_GUARDED_BY(mutex_) = true;
  absl::Duration heartbeat_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<bool> is_behind_{false};

  // Of the batcher's thread alone; kept for their memory.
  std::vector<UserVectors> user_vectors_;  // that the queries point to
  std::vector<RankQuery> rank_queries_;  // of the batch, popular ones left out
  std::vector<Ranking> rankings_;
  bool scorer_failing_ = false;  // so that a broken scorer logs one line

  std::once_flag stopped_;
  std::thread thread_;
};

}  // namespace neumf
