#pragma once

// What came of the calls of a load.

#include <array>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/latency_distribution.h"

namespace neumf {

// Times count from the moment a call was due, not from when it was sent: what
// stalls, be it the server, the network or the client, is charged to every call
// that came due meanwhile ("coordinated omission" is leaving them out).
//
// Belongs to one thread.
class LoadResult {
 public:
  // The goodput counts answers within `deadline`.
  LoadResult(double offered_rate, absl::Duration duration,
             absl::Duration deadline);

  // `status` has google.rpc details as payloads, as FromGrpcStatus() leaves them.
  void RecordCall(const absl::Status& status, absl::Duration latency);
  // Users of an answered batch who got an error in place of recommendations.
  void RecordFailedUsers(int64_t count) { failed_users_ += count; }
  // How long after they were due calls were handed to gRPC.
  void AddLags(const LatencyDistribution& lags) { lag_.Add(lags); }
  // The part of one core that the thread which takes the answers was busy.
  void set_receiver_load(double load) { receiver_load_ = load; }

  double offered_rate() const { return offered_rate_; }
  absl::Duration duration() const { return duration_; }
  absl::Duration deadline() const { return deadline_; }
  int64_t num_calls() const;
  int64_t num_calls(absl::StatusCode code) const;
  int64_t failed_users() const { return failed_users_; }
  double receiver_load() const { return receiver_load_; }

  // Calls of OK; those that a neumf-server has refused because it was full, or
  // for the caller's quota, and says so in an ErrorInfo; all others. A server
  // that is not there is UNAVAILABLE, too, and refuses nothing.
  const LatencyDistribution& answered() const { return answered_; }
  const LatencyDistribution& refused() const { return refused_; }
  const LatencyDistribution& over_quota() const { return over_quota_; }
  const LatencyDistribution& failed() const { return failed_; }
  const LatencyDistribution& lag() const { return lag_; }

  // Answers within the deadline, a second.
  double goodput() const;

  // Over all calls, where one without an answer takes for ever: refusing or
  // failing calls never makes a server look faster. REQUIRES: num_calls() > 0.
  absl::Duration Quantile(double q) const;

 private:
  static constexpr int kNumCodes = 17;

  double offered_rate_;
  absl::Duration duration_;
  absl::Duration deadline_;
  std::array<int64_t, kNumCodes> num_calls_{};  // by status code
  int64_t answers_in_time_ = 0;
  int64_t failed_users_ = 0;
  double receiver_load_ = 0;
  LatencyDistribution answered_;
  LatencyDistribution refused_;
  LatencyDistribution over_quota_;
  LatencyDistribution failed_;
  LatencyDistribution lag_;
};

}  // namespace neumf
