#pragma once

// What is known and counted of one call, whatever its kind: when it came, when
// it must be over, how it ended. Its counters move once at the start and once
// at the end.

#include <atomic>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "grpcpp/server_context.h"
#include "server/call_registry.h"
#include "server/server_metrics.h"

namespace neumf {

// What every call works with; all of it outlives the calls.
struct CallParts {
  const Clock* clock = nullptr;
  ServerMetrics* metrics = nullptr;
  CallRegistry* registry = nullptr;
};

class CallRecord {
 public:
  // Counts the start. `context` is read here only.
  CallRecord(const CallParts& parts, RpcMethod method,
             const grpc::CallbackServerContext& context);

  const CallParts& parts() const { return parts_; }
  // Both on the monotonic clock; InfiniteDuration() when the caller set none.
  absl::Duration started() const { return started_; }
  absl::Duration deadline() const { return deadline_; }
  absl::Duration Elapsed() const;

  void MessageSent() { parts_.metrics->MessageSent(method_); }

  // The call is answered with `code`, as far as we are concerned. Called once.
  void Finished(absl::StatusCode code);

  // The caller is gone, perhaps since its deadline has passed: what the call
  // has ended with, DEADLINE_EXCEEDED or CANCELLED, even if we had finished it.
  absl::Status Cancelled();

  // gRPC is done with the call: counts the end. REQUIRES: Finished() came
  // first.
  void Done();

 private:
  const CallParts parts_;
  const RpcMethod method_;
  const absl::Duration started_;
  const absl::Duration deadline_;
  // Written by the one that finishes, then read by Done(), in gRPC's order.
  absl::StatusCode code_ = absl::StatusCode::kUnknown;
  absl::Duration handling_ = absl::ZeroDuration();
  std::atomic<absl::StatusCode> cancel_code_{absl::StatusCode::kOk};
};

}  // namespace neumf
