#include "server/call_record.h"

#include <chrono>

namespace neumf {
namespace {

// gRPC keeps deadlines in milliseconds of another clock than ours.
constexpr absl::Duration kClockSlack = absl::Milliseconds(5);

absl::Duration MonotonicDeadline(const grpc::CallbackServerContext& context,
                                 const Clock& clock) {
  const std::chrono::system_clock::time_point deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) {
    return absl::InfiniteDuration();
  }
  return clock.MonotonicNow() + (absl::FromChrono(deadline) - clock.WallNow());
}

}  // namespace

CallRecord::CallRecord(const CallParts& parts, RpcMethod method,
                       const grpc::CallbackServerContext& context)
    : parts_(parts),
      method_(method),
      started_(parts.clock->MonotonicNow()),
      deadline_(MonotonicDeadline(context, *parts.clock)) {
  parts_.metrics->CallStarted(method_);
  parts_.metrics->MessageReceived(method_);
}

absl::Duration CallRecord::Elapsed() const {
  return parts_.clock->MonotonicNow() - started_;
}

void CallRecord::Finished(absl::StatusCode code) {
  code_ = code;
  handling_ = Elapsed();
}

absl::Status CallRecord::Cancelled() {
  const bool expired = parts_.clock->MonotonicNow() + kClockSlack >= deadline_;
  cancel_code_ = expired ? absl::StatusCode::kDeadlineExceeded
                         : absl::StatusCode::kCancelled;
  return expired ? absl::DeadlineExceededError("the deadline has passed")
                 : absl::CancelledError("the caller has cancelled the call");
}

void CallRecord::Done() {
  const absl::StatusCode cancel_code = cancel_code_;
  const absl::StatusCode code =
      cancel_code == absl::StatusCode::kOk ? code_ : cancel_code;
  parts_.metrics->CallHandled(method_, static_cast<int>(code), handling_);
}

}  // namespace neumf
