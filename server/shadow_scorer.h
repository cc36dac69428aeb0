#pragma once

// Scores again, by the candidate of a trial, what the served version has
// answered, and compares the two.
//
// It comes after the answer was sent, on a thread of low priority, and takes a
// quarter of the time at most. What comes faster than that, or while more calls
// wait than the next batch takes, is dropped and counted: a shadow is never
// what a caller waits for.
//
//   overlap@k   of the items of the longer answer, the share that both hold;
//               1 where both are empty, 0 where the candidate does not know the
//               user
//   drift       mean |difference| of the scores of the items that both hold
//
// Any thread may call any method.

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "neumf/v1/recommendation_service.pb.h"
#include "server/admission.h"
#include "server/scoring_device.h"
#include "server/server_metrics.h"
#include "server/version_trial.h"

namespace neumf {

struct Agreement {
  double overlap = 0;
  std::optional<double> drift;  // none: no item is in both
};

Agreement CompareAnswers(const v1::RecommendResponse& served,
                         const v1::RecommendResponse& candidate);

class ShadowScorer {
 public:
  // Most that wait; a request may have a megabyte.
  static constexpr size_t kMaxWaiting = 16;

  // What was answered, and by whose trial it is to be scored again.
  struct Sample {
    std::shared_ptr<VersionTrial> trial;
    v1::RecommendRequest request;
    v1::RecommendResponse answer;
  };

  struct Parts {
    const Clock* clock = nullptr;
    ScoringDevice* device = nullptr;
    ServerMetrics* metrics = nullptr;
    // Whether callers need the scorer. By the thread of this.
    std::function<bool()> is_busy;
  };

  // All parts must outlive this.
  ShadowScorer(const RequestLimits& limits, Parts parts);
  // Stop()s.
  ~ShadowScorer();

  void Add(Sample sample);
  // Drops what waits, and returns when the thread has ended. Idempotent.
  void Stop();

 private:
  void Run();
  // None: it is time to stop.
  std::optional<Sample> Take();
  // False when it is time to stop.
  bool Pause(absl::Duration time);
  void Score(const Sample& sample) const;
  absl::Status ScoreBy(const Snapshot& candidate,
                       const v1::RecommendRequest& request,
                       v1::RecommendResponse* answer) const;

  const RequestLimits limits_;
  const Parts parts_;

  Mutex mutex_;
  CondVar wake_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Sample> waiting_ ABSL_GUARDED_BY(mutex_);

  std::once_flag stopped_;
  std::thread thread_;
};

}  // namespace neumf
