#pragma once

// A new version on trial beside the one that is served.
//
//   shadow   the requests of a share of the users are scored by both, and only
//            what the served version says is answered; how far the two agree is
//            measured (shadow_scorer.h)
//   canary   a share of the users is answered by the new version
//
// Which users: by a hash of their ids and the version, so that a user's answers
// stay of one version within a phase, on every server alike, and other users
// go first next time. A phase whose share is 0 is left out.
//
// A phase ends when its time is over and it has seen enough requests; in the
// canary phase, as many of each version. From enough requests on, whatever
// breaks a rule ends the trial at once:
//
//   shadow   too many requests that the new version could not score; a mean
//            overlap@k below the least
//   canary   a share of failed answers that exceeds the served version's by
//            too much; a p95 of the times of answers that is too many times
//            the served version's
//
// A shadow is scored in time that nobody else needs. Where there is never
// enough of it, the trial ends undecided after a while; where nobody asks, it
// goes on.
//
//   trials->Set(std::make_shared<VersionTrial>(...));
//   ... of each request: trial = trials->Get(); trial->ArmOf(user_id) ...
//   ... again and again: trial->Judge() ...
//
// Any thread may call any method, but for Judge() and End(): one at a time.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "server/server_metrics.h"
#include "server/snapshot.h"

namespace neumf {

class VersionTrial {
 public:
  struct Options {
    // Of the users. More see more of what is different, sooner; in the shadow
    // phase they cost computing time, in the canary phase they meet what is
    // wrong with a version. Default, 0: there is no such phase.
    double shadow_share = 0;
    // 1 never ends: the served version has to answer some, to be compared with.
    double canary_share = 0;
    // At least; longer while too few requests come. Without the time to score
    // them, a shadow takes kPatience times as long at most.
    absl::Duration shadow_duration = absl::Minutes(10);
    absl::Duration canary_duration = absl::Minutes(10);
    // Requests that a rule is based on, at least 1. Fewer judge sooner, and by
    // chance.
    uint64_t min_requests = 200;
    // The least mean overlap@k. Default, 0: models may differ in everything.
    double min_overlap = 0;
    // By how much the share of failures may exceed the served version's.
    double max_errors = 0.01;
    // How many times as slow answers may be, by their p95.
    double max_latency_ratio = 2;

    bool enabled() const { return shadow_share > 0 || canary_share > 0; }
  };

  static constexpr int kPatience = 10;
  // No shadow is given up sooner, however short it is to be.
  static constexpr absl::Duration kLeastPatience = absl::Minutes(10);

  // What becomes of a user's request.
  enum class Arm {
    kNone,       // the served version answers, and nobody looks
    kShadow,     // it answers, and the candidate scores it too
    kServed,     // it answers, to be compared with:
    kCandidate,  // the candidate answers
  };

  struct Verdict {
    enum class Kind {
      kGoesOn,
      kPromote,
      kRollBack,
      kUndecided,  // and will stay so: nothing speaks for it, nor against it
    };
    Kind kind = Kind::kGoesOn;
    std::string reason;  // of the last two
  };

  // `clock` and `metrics` must outlive this. REQUIRES: options.enabled().
  VersionTrial(const Options& options, const Clock* clock,
               ServerMetrics* metrics,
               std::shared_ptr<const Snapshot> candidate);

  uint64_t version() const { return version_; }
  // Null once the trial has ended: calls that a client is slow to take keep the
  // trial, and must not keep the model.
  std::shared_ptr<const Snapshot> candidate() const;
  Arm ArmOf(absl::string_view user_id) const;

  // What came of requests in the shadow phase. `drift` is by how much the
  // scores of the items in both answers differ, on average; none: there are no
  // such items.
  void Compared(double overlap, std::optional<double> drift);
  void NotScored();
  void Dropped();  // there was no time to score it
  // What came of a call of the canary phase.
  void Answered(Arm arm, absl::StatusCode code, absl::Duration handling);

  // What to do now; moves on from the shadow phase to the canary phase itself.
  Verdict Judge();
  // Lets go of the candidate.
  void End();

 private:
  // Durations, in steps of a fifth.
  class Times {
   public:
    void Add(absl::Duration time);
    // Microseconds below which 95 % of them are. REQUIRES: there are some.
    double P95() const;

   private:
    std::array<uint64_t, 128> counts_{};
    uint64_t total_ = 0;
  };
  // The answers of one version.
  struct Answers {
    uint64_t count = 0;
    uint64_t failed = 0;
    Times times;  // of those that did not fail

    double failed_share() const {
      return count == 0 ? 0 : static_cast<double>(failed) / count;
    }
  };

  void Begin(TrialPhase phase) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What is to be judged, so far.
  uint64_t NumSeen() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether enough requests came to a shadow that has not scored enough.
  bool IsStarved() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Why the phase breaks a rule; empty: it does not.
  std::string FaultOfShadow() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string FaultOfCanary() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsAmong(double share, absl::string_view user_id) const;

  const Options options_;
  const Clock* const clock_;
  ServerMetrics* const metrics_;
  const uint64_t version_;
  std::atomic<TrialPhase> phase_{TrialPhase::kNone};

  mutable Mutex mutex_;
  std::shared_ptr<const Snapshot> candidate_ ABSL_GUARDED_BY(mutex_);
  absl::Duration began_ ABSL_GUARDED_BY(mutex_);  // the phase did
  uint64_t num_compared_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t num_not_scored_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t num_dropped_ ABSL_GUARDED_BY(mutex_) = 0;
  double overlaps_ ABSL_GUARDED_BY(mutex_) = 0;  // their sum
  Answers by_served_ ABSL_GUARDED_BY(mutex_);
  Answers by_candidate_ ABSL_GUARDED_BY(mutex_);
};

// The trial that is on. Any thread may call any method.
class TrialHolder {
 public:
  // Null: there is none, which costs a look at a flag.
  std::shared_ptr<VersionTrial> Get() const {
    if (!is_on_.load(std::memory_order_acquire)) return nullptr;
    MutexLock lock(&mutex_);
    return trial_;
  }
  void Set(std::shared_ptr<VersionTrial> trial) {
    MutexLock lock(&mutex_);
    trial_.swap(trial);  // the old one goes after the lock
    is_on_.store(trial_ != nullptr, std::memory_order_release);
  }

 private:
  std::atomic<bool> is_on_{false};
  mutable Mutex mutex_;
  std::shared_ptr<VersionTrial> trial_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace neumf
