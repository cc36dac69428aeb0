#include "server/version_trial.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/logging.h"
#include "base/sha256.h"

namespace neumf {
namespace {

// The finalizer of SplitMix64: every bit of the input moves all of the output.
uint64_t Mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

constexpr double kStepsPerDoubling = 4;

// What a version, or the server it burdens, has to answer for; the rest is the
// caller's doing.
bool IsFailure(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
      return true;
    default:
      return false;
  }
}

const char* PhaseName(TrialPhase phase) {
  return phase == TrialPhase::kShadow ? "shadow" : "canary";
}

}  // namespace

void VersionTrial::Times::Add(absl::Duration time) {
  const double micros = std::max(1.0, absl::ToDoubleMicroseconds(time));
  const auto step = static_cast<size_t>(kStepsPerDoubling * std::log2(micros));
  ++counts_[std::min(step, counts_.size() - 1)];
  ++total_;
}

double VersionTrial::Times::P95() const {
  const uint64_t rank = total_ - total_ / 20;
  uint64_t below = 0;
  size_t step = 0;
  while (below < rank) below += counts_[step++];
  return std::exp2(static_cast<double>(step) / kStepsPerDoubling);
}

VersionTrial::VersionTrial(const Options& options, const Clock* clock,
                           ServerMetrics* metrics,
                           std::shared_ptr<const Snapshot> candidate)
    : options_(options),
      clock_(clock),
      metrics_(metrics),
      version_(candidate->version),
      candidate_(std::move(candidate)) {
  MutexLock lock(&mutex_);
  Begin(options_.shadow_share > 0 ? TrialPhase::kShadow : TrialPhase::kCanary);
}

void VersionTrial::Begin(TrialPhase phase) {
  began_ = clock_->MonotonicNow();
  phase_ = phase;
  metrics_->SetTrialPhase(phase);
  LogEvent("trial_phase")
      .WithNumber("version", version_)
      .With("phase", PhaseName(phase));
}

std::shared_ptr<const Snapshot> VersionTrial::candidate() const {
  MutexLock lock(&mutex_);
  return candidate_;
}

VersionTrial::Arm VersionTrial::ArmOf(absl::string_view user_id) const {
  switch (phase_.load()) {
    case TrialPhase::kNone:
      return Arm::kNone;
    case TrialPhase::kShadow:
      return IsAmong(options_.shadow_share, user_id) ? Arm::kShadow
                                                     : Arm::kNone;
    case TrialPhase::kCanary:
      return IsAmong(options_.canary_share, user_id) ? Arm::kCandidate
                                                     : Arm::kServed;
  }
  return Arm::kNone;
}

bool VersionTrial::IsAmong(double share, absl::string_view user_id) const {
  const uint64_t place = Mix(IdHash(user_id) ^ Mix(version_));
  // 53 bits, which a double holds exactly: from 0 to below 1.
  return std::ldexp(static_cast<double>(place >> 11), -53) < share;
}

void VersionTrial::Compared(double overlap, std::optional<double> drift) {
  metrics_->ShadowCompared(overlap, drift);
  MutexLock lock(&mutex_);
  ++num_compared_;
  overlaps_ += overlap;
}

void VersionTrial::NotScored() {
  metrics_->ShadowEnded(ShadowResult::kFailed);
  MutexLock lock(&mutex_);
  ++num_not_scored_;
}

void VersionTrial::Dropped() {
  metrics_->ShadowEnded(ShadowResult::kDropped);
  MutexLock lock(&mutex_);
  ++num_dropped_;
}

void VersionTrial::Answered(Arm arm, absl::StatusCode code,
                            absl::Duration handling) {
  const bool failed = IsFailure(code);
  if (!failed && code != absl::StatusCode::kOk) return;
  metrics_->CanaryAnswered(arm == Arm::kCandidate, failed, handling);
  MutexLock lock(&mutex_);
  Answers& answers = arm == Arm::kCandidate ? by_candidate_ : by_served_;
  ++answers.count;
  if (failed) {
    ++answers.failed;
  } else {
    answers.times.Add(handling);
  }
}

VersionTrial::Verdict VersionTrial::Judge() {
  MutexLock lock(&mutex_);
  const bool in_shadow = phase_ == TrialPhase::kShadow;
  if (NumSeen() < options_.min_requests) {
    if (!IsStarved()) return {};
    return {Verdict::Kind::kUndecided,
            absl::StrFormat("shadow: only %d of %d requests could be scored in "
                            "the time that callers left; it was not tried",
                            NumSeen(), NumSeen() + num_dropped_)};
  }
  std::string fault = in_shadow ? FaultOfShadow() : FaultOfCanary();
  if (!fault.empty()) return {Verdict::Kind::kRollBack, std::move(fault)};
  const absl::Duration duration =
      in_shadow ? options_.shadow_duration : options_.canary_duration;
  if (clock_->MonotonicNow() < began_ + duration) return {};
  if (!in_shadow || options_.canary_share == 0) {
    return {Verdict::Kind::kPromote, ""};
  }
  Begin(TrialPhase::kCanary);
  return {};
}

uint64_t VersionTrial::NumSeen() const {
  return phase_ == TrialPhase::kShadow
             ? num_compared_ + num_not_scored_
             : std::min(by_candidate_.count, by_served_.count);
}

bool VersionTrial::IsStarved() const {
  const absl::Duration patience =
      std::max(kPatience * options_.shadow_duration, kLeastPatience);
  return phase_ == TrialPhase::kShadow &&
         NumSeen() + num_dropped_ >= options_.min_requests &&
         clock_->MonotonicNow() >= began_ + patience;
}

std::string VersionTrial::FaultOfShadow() const {
  const uint64_t seen = NumSeen();
  if (static_cast<double>(num_not_scored_) >
      options_.max_errors * static_cast<double>(seen)) {
    return absl::StrFormat("shadow: %d of %d requests could not be scored",
                           num_not_scored_, seen);
  }
  const double overlap =
      num_compared_ == 0 ? 0 : overlaps_ / static_cast<double>(num_compared_);
  if (overlap >= options_.min_overlap) return "";
  return absl::StrFormat(
      "shadow: the mean overlap of %d answers is %.3f, below %g", num_compared_,
      overlap, options_.min_overlap);
}

std::string VersionTrial::FaultOfCanary() const {
  const double share = by_candidate_.failed_share();
  const double served_share = by_served_.failed_share();
  if (share > served_share + options_.max_errors) {
    return absl::StrFormat(
        "canary: %.2f %% of %d answers failed, %.2f %% of the served version's",
        100 * share, by_candidate_.count, 100 * served_share);
  }
  const uint64_t fewest = std::min(by_candidate_.count - by_candidate_.failed,
                                   by_served_.count - by_served_.failed);
  if (fewest < options_.min_requests) return "";
  const double p95 = by_candidate_.times.P95();
  const double served_p95 = by_served_.times.P95();
  if (p95 <= served_p95 * options_.max_latency_ratio) return "";
  return absl::StrFormat(
      "canary: the p95 of %d answers is %.1f ms, %.1f ms of the served "
      "version's",
      by_candidate_.count, p95 / 1000, served_p95 / 1000);
}

void VersionTrial::End() {
  phase_ = TrialPhase::kNone;
  metrics_->SetTrialPhase(TrialPhase::kNone);
  std::shared_ptr<const Snapshot> candidate;  // let go of outside the lock
  MutexLock lock(&mutex_);
  candidate.swap(candidate_);
}

}  // namespace neumf
