#pragma once

// What the scorer can bear: how much it is given at once, and which calls are
// refused when they come, so that those that are taken are answered in time.
//
// A call is refused, at the price of a few additions, if
// - the queue has no room for it,
// - by the pace of late (scoring_pace.h) its answer would miss its deadline, or
// - a queue stands (queue_delay.h) and it would wait for longer than is good.
//
// For one thread at a time. Times are of the monotonic clock.

#include <cstddef>
#include <optional>
#include <random>
#include <vector>

#include "absl/time/time.h"
#include "server/queue_delay.h"
#include "server/request_queue.h"
#include "server/scoring_pace.h"
#include "server/server_metrics.h"
#include "server/snapshot.h"

namespace neumf {

class LoadControl {
 public:
  // On a CPU a batch is as large as is scored within this time: the longer it
  // takes, the longer those wait that come while it runs. But where the threads
  // of the scorer compete for processors with others, each batch waits for a
  // time slice of theirs, some milliseconds. Much shorter batches would take
  // most of their time for that, and look slow, and be made shorter still.
  static constexpr absl::Duration kCpuBatchTime = absl::Milliseconds(20);
  static constexpr size_t kMostCpuBatchUsers = 512;
  // Before the first batch was measured.
  static constexpr size_t kFirstCpuBatchUsers = 32;
  // What one pass of a GPU takes, for hardly more time than one user.
  static constexpr size_t kGpuBatchUsers = 256;

  // The queue of calls about one user holds what is scored in this time, within
  // these bounds: enough for what comes while a machine pauses. That waits stay
  // short when more comes than can be scored is for queue_delay.h to see to.
  static constexpr absl::Duration kQueueTime = absl::Milliseconds(500);
  static constexpr size_t kFewestQueueUsers = 512;
  static constexpr size_t kMostQueueUsers = 16'384;
  // Before the first batch was measured.
  static constexpr size_t kFirstQueueUsers = 1024;
  // Calls about many users have a queue of their own, so many times larger:
  // nobody else waits for them.
  static constexpr size_t kManyQueueFactor = 8;

  struct Options {
    // Users scored with one pass over the catalog. More raise throughput, and
    // the time that a call waits for its neighbours. Default, 0: by what scores
    // and how fast, see above.
    size_t max_batch_users = 0;
    // Users that may wait; a larger call is taken when no other of its class
    // waits. More ride out longer bursts and make late answers instead of quick
    // refusals. Default, 0: by how fast they are scored, see above.
    size_t max_queue_users = 0;
  };

  struct Refusal {
    ShedReason reason;
    absl::Duration retry_after;
  };

  explicit LoadControl(const Options& options);

  // How many users of a snapshot make a batch.
  size_t MaxBatchUsers(const Snapshot& snapshot) const;

  // What a call asks for: places in the queue, of which so many are known to
  // need the scorer. Answers from popularity take next to no time.
  struct Demand {
    size_t num_users;
    size_t num_scored;
  };

  // Why `call`, which comes now, must not join `queue`; none when it may.
  std::optional<Refusal> Refuse(const PendingCall& call, const Demand& demand,
                                const RequestQueue& queue, absl::Duration now);

  // `batch` has left `queue`; ended by exactly one of the next two.
  // REQUIRES: it is not empty.
  void BatchStarts(const std::vector<CallPiece>& batch,
                   const RequestQueue& queue, absl::Duration now);
  // The scorer was done with it at `scored`, all is answered now. What its
  // users took is all that they kept the batcher from the next one, their
  // answers included: that is what those behind it wait for.
  void BatchAnswered(absl::Duration scored, absl::Duration now);
  void BatchFailed() { batch_.reset(); }

  // Calls about one user that have waited for longer should give way to others.
  absl::Duration longest_wait() const { return delay_.longest_wait(); }

 private:
  // What the scorer is busy with.
  struct Batch {
    bool on_gpu;
    Demand demand;
    absl::Duration started;
  };

  const ScoringPace& PaceOf(const Snapshot& snapshot) const {
    return snapshot.device_life.has_value() ? gpu_pace_ : cpu_pace_;
  }
  bool HasRoom(const PendingCall& call, size_t num_users,
               const RequestQueue& queue) const;
  // Whether what by all measurements comes too late is tried all the same.
  bool MayTry(const Demand& demand, const RequestQueue& queue,
              absl::Duration now) const;
  // How long `call` would wait for the scorer: before its first batch and, for
  // the turns of the other class, between its batches. While both classes wait
  // they take turns.
  absl::Duration WaitFor(const PendingCall& call, const Demand& demand,
                         const RequestQueue& queue, absl::Duration now) const;
  // What others of its class take that come while `call` waits, and fill up its
  // last batch.
  absl::Duration TimeForCompany(const PendingCall& call, const Demand& demand,
                                const RequestQueue& queue,
                                absl::Duration wait) const;
  absl::Duration RestOfBatch(absl::Duration now) const;
  // What so many users take, of whom some need the scorer.
  absl::Duration TimeFor(const ScoringPace& pace, const Demand& demand) const;
  // Until half of the queue is worked off; spread, so that callers who were
  // refused together do not come back together.
  absl::Duration RetryAfter(const ScoringPace& pace, const RequestQueue& queue);

  const Options options_;
  ScoringPace cpu_pace_{1};
  ScoringPace gpu_pace_{kGpuBatchUsers};
  ScoringPace popular_pace_{1};  // of answers that need no scorer
  QueueDelay delay_;
  std::optional<Batch> batch_;
  absl::Duration last_measured_ = -absl::InfiniteDuration();
  std::minstd_rand jitter_;
};

}  // namespace neumf
