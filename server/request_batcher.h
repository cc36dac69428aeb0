#pragma once

// Turns calls into batches for the scorer, on one thread.
//
// A free scorer starts at once with whatever waits; while it works, calls pile
// up and make the next batch. A batch is a run of calls of one snapshot, at
// most `max_batch_users` users unless its first call alone has more, which is
// then scored in several pieces. Calls whose deadline has passed or that
// somebody else finished leave the queue whenever a batch forms, wherever they
// stand.
//
// CONTRACT
// 1. Every call that Submit() took is answered by its `done`, unless somebody
//    else claimed it: exactly one of the two.
// 2. Order is first come, first served; so the versions that one caller sees
//    never go back.
// 3. `done` runs on the batcher's thread and must not block.
// 4. It observes the stages queue, gather and score, and counts what it
//    refuses, and what expired or was cancelled in its hands.
// 5. It reports a GPU that fails, and asks no scorer of a GPU that has failed:
//    its calls get UNAVAILABLE at once.
//
// Any thread may call any method.

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "server/pending_call.h"
#include "server/scoring_device.h"
#include "server/server_metrics.h"

namespace neumf {

class RequestBatcher {
 public:
  // A CPU gains little from more than this, a GPU's pass takes so many.
  static constexpr size_t kCpuBatchUsers = 32;
  static constexpr size_t kGpuBatchUsers = 256;

  struct Options {
    // Users scored with one pass over the catalog. More raise throughput, and
    // the time that a call waits for its neighbours. Default, 0: kCpuBatchUsers
    // or kGpuBatchUsers, by what scores the call's snapshot.
    size_t max_batch_users = 0;
    // Users that may wait; a larger call is taken when nothing waits. More ride
    // out longer bursts and make late answers instead of quick refusals.
    // Default: 1024.
    size_t max_queue_users = 1024;
    // How long an idle scorer waits for a batch to fill up. Default: not at
    // all.
    absl::Duration max_queue_delay = absl::ZeroDuration();
  };

  // `clock`, `device` and `metrics` must outlive this.
  RequestBatcher(const Options& options, const Clock* clock,
                 ScoringDevice* device, ServerMetrics* metrics);
  // Stop()s.
  ~RequestBatcher();

  // Takes the call, or says UNAVAILABLE (QUEUE_FULL, DRAINING) without touching
  // it. REQUIRES: call->queries is not empty.
  absl::Status Submit(std::shared_ptr<PendingCall> call);

  // Answers what waits with UNAVAILABLE, refuses what comes, and returns when
  // the thread has ended: at most one batch later. Idempotent.
  void Stop();

  // When the thread last was alive and not inside the scorer, on the monotonic
  // clock; the present while it waits for work.
  absl::Duration last_heartbeat() const;

 private:
  using Calls = std::vector<std::shared_ptr<PendingCall>>;

  // What leaves the queue at once.
  struct Work {
    Calls batch;      // of one snapshot; to be scored
    Calls expired;    // claimed by us; to be answered
    Calls abandoned;  // claimed by others; to be released outside the lock
  };

  void Run();
  size_t MaxBatchUsers(const Snapshot& snapshot) const;
  bool HasRoomFor(size_t num_users) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Duration RetryAfter() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Waits until a batch is due and takes it; empty when stopping.
  Work WaitForWork();
  void DropFinishedCalls(absl::Duration now, Work* work)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeBatch(Calls* batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void Process(const Work& work);
  void GatherQueries(const Calls& batch);
  absl::Status ScoreQueries(const Snapshot& snapshot);
  void ReportFailure(const Snapshot& snapshot, const absl::Status& status);
  void RecordScoring(absl::Duration took, size_t num_users);
  void AnswerBatch(const Calls& batch, const absl::Status& status);
  void AnswerRemaining();

  const Options options_;
  const Clock* const clock_;
  ScoringDevice* const device_;
  ServerMetrics* const metrics_;

  mutable Mutex mutex_;
  CondVar wake_;
  std::deque<std::shared_ptr<PendingCall>> queue_ ABSL_GUARDED_BY(mutex_);
  size_t queued_users_ ABSL_GUARDED_BY(mutex_) = 0;
  bool idle_ ABSL_GUARDED_BY(mutex_) = true;
  absl::Duration heartbeat_ ABSL_GUARDED_BY(mutex_);
  // Smoothed; tells refused callers when to come back.
  absl::Duration time_per_user_ ABSL_GUARDED_BY(mutex_);
  std::minstd_rand jitter_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  // Of the batcher's thread alone; kept for their memory.
  std::vector<RankQuery> rank_queries_;
  std::vector<Ranking> rankings_;
  bool scorer_failing_ = false;  // so that a broken scorer logs one line

  std::once_flag stopped_;
  std::thread thread_;
};

}  // namespace neumf
