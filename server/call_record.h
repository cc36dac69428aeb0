#pragma once

// What is known and counted of one call, whatever its kind: when it came, when
// it must be over, how it ended. Its counters move once at the start and once
// at the end, and what the logs say of it is written then.
//
// gRPC keeps a finished call, and with it the bytes of its answer, until the
// client has taken them. One that does not read is cut off: a second after its
// deadline, but no later than 30 s after the call was finished, which is all
// that a call without a deadline gets.

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "neumf/v1/request_log.pb.h"
#include "server/authenticator.h"
#include "server/call_log.h"
#include "server/call_registry.h"
#include "server/intake_guard.h"
#include "server/request_log.h"
#include "server/reset_guard.h"
#include "server/server_metrics.h"

namespace neumf {

// What every call works with; all of it outlives the calls.
struct CallParts {
  const Clock* clock = nullptr;
  ServerMetrics* metrics = nullptr;
  CallRegistry* registry = nullptr;
  // Null: clients may reset as many calls as they like.
  ResetGuard* resets = nullptr;
  // Null: nobody is asked who they are.
  const Authenticator* authenticator = nullptr;
  // Null: nothing is written about calls.
  CallLog* call_log = nullptr;
  RequestLog* request_log = nullptr;
  // Of calls that come without one, from their start.
  absl::Duration default_deadline = absl::InfiniteDuration();
  // Of the message that a call begins with.
  size_t message_bytes = 0;

  // The same for a call with that message.
  CallParts With(const grpc::ByteBuffer& message) const {
    CallParts parts = *this;
    parts.message_bytes = message.Length();
    return parts;
  }

  // Who calls, at the entry of every handler: Authenticator::Authorize().
  absl::StatusOr<Caller> Authorize(const grpc::CallbackServerContext& context,
                                   Right right) const {
    if (authenticator == nullptr) return Caller{"", Rights::All()};
    return authenticator->Authorize(context, right);
  }
};

class CallRecord {
 public:
  // How long a client may leave unread what it is sent.
  static constexpr absl::Duration kPatience = absl::Seconds(30);

  // Counts the start, and the message that has come with it unless the method
  // takes a stream of them. `context` must live until Done().
  CallRecord(const CallParts& parts, RpcMethod method,
             grpc::CallbackServerContext* context);

  const CallParts& parts() const { return parts_; }
  // Both on the monotonic clock.
  absl::Duration started() const { return started_; }
  absl::Duration deadline() const { return deadline_; }
  absl::Duration Elapsed() const;

  // For the logs. By the handler of the call, before it ends, as for the next.
  void set_caller(std::string name) { caller_ = std::move(name); }
  const std::string& caller() const { return caller_; }
  // Puts the call into the request log; the rest of `logged` is filled in at
  // the end. REQUIRES: there is such a log.
  void set_logged(std::unique_ptr<v1::LoggedCall> logged) {
    logged_ = std::move(logged);
  }
  // Null for a call that is not to be in that log.
  v1::LoggedCall* logged() { return logged_.get(); }

  // A message of a stream has come.
  void MessageReceived(size_t bytes);
  void MessageSent() { parts_.metrics->MessageSent(method_); }

  // The end of the call waits for nothing but its client, whose time to take it
  // begins. Only the first time counts.
  void Ending();
  // The call is answered with `code`, as far as we are concerned: it is
  // Ending(), too. Called once.
  void Finished(absl::StatusCode code);
  // From started() to Finished(), and what it said, for the one that called it
  // and after Done().
  absl::Duration handling() const { return handling_; }
  absl::StatusCode code() const { return code_; }

  // When that time is over, on the monotonic clock; InfiniteDuration() before
  // Ending(). Any thread, as for the next.
  absl::Duration cut_time() const;
  // Cancels the call for its client, unless it was cut or gRPC is done with it.
  void Cut();
  // Whether that has begun.
  bool was_cut() const { return was_cut_.load(std::memory_order_acquire); }

  // The caller is gone, perhaps since its deadline has passed: what the call
  // has ended with, DEADLINE_EXCEEDED or CANCELLED, even if we had finished it.
  absl::Status Cancelled();

  // gRPC is done with the call: counts and logs the end, and lets go of the
  // context.
  // REQUIRES: Finished() came first.
  void Done();

 private:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  void Log(absl::StatusCode code);

  const CallParts parts_;
  const RpcMethod method_;
  const grpc::CallbackServerContext& caller_context_;  // to read, until Done()
  const absl::Duration started_;
  const absl::Duration deadline_;
  ResetGuard::Peer* const peer_;  // null: not counted
  // Written by the one that finishes, then read by Done(), in gRPC's order.
  absl::StatusCode code_ = absl::StatusCode::kUnknown;
  absl::Duration handling_ = absl::ZeroDuration();
  // Of the handler, then of Done().
  std::string caller_;
  std::unique_ptr<v1::LoggedCall> logged_;
  std::atomic<absl::StatusCode> cancel_code_{absl::StatusCode::kOk};
  std::atomic<int64_t> cut_nanos_{kNever};

  std::atomic<bool> was_cut_{false};

  // Held while gRPC cancels, so that Done() comes after it. REQUIRES: gRPC does
  // not call Done() from there, as it may for calls that are ended inline
  // (ScoringCall), unless they ask was_cut().
  Mutex mutex_;
  grpc::CallbackServerContext* context_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace neumf
