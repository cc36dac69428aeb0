#include "server/call_record.h"

#include <algorithm>
#include <chrono>

namespace neumf {
namespace {

// gRPC keeps deadlines in milliseconds of another clock than ours, and its
// clients send time-outs that are rounded up, by a hundredth at most.
constexpr absl::Duration kClockSlack = absl::Milliseconds(5);
constexpr int kTimeoutPrecision = 100;
// What a client has to take the end of its call: after its deadline, and at all.
constexpr absl::Duration kDeadlineGrace = absl::Seconds(1);
constexpr absl::Duration kPatience = absl::Seconds(30);

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
                       grpc::CallbackServerContext* context)
    : parts_(parts),
      method_(method),
      started_(parts.clock->MonotonicNow()),
      deadline_(MonotonicDeadline(*context, *parts.clock)),
      context_(context) {
  parts_.metrics->CallStarted(method_);
  parts_.metrics->MessageReceived(method_);
}

absl::Duration CallRecord::Elapsed() const {
  return parts_.clock->MonotonicNow() - started_;
}

void CallRecord::Ending() {
  const absl::Duration now = parts_.clock->MonotonicNow();
  const absl::Duration cut =
      std::min(std::max(deadline_, now) + kDeadlineGrace, now + kPatience);
  int64_t unset = kNever;
  cut_nanos_.compare_exchange_strong(unset, absl::ToInt64Nanoseconds(cut));
}

void CallRecord::Finished(absl::StatusCode code) {
  Ending();
  code_ = code;
  handling_ = Elapsed();
}

absl::Duration CallRecord::cut_time() const {
  const int64_t nanos = cut_nanos_;
  return nanos == kNever ? absl::InfiniteDuration() : absl::Nanoseconds(nanos);
}

void CallRecord::Cut() {
  MutexLock lock(&mutex_);
  if (context_ == nullptr) return;
  context_->TryCancel();
  context_ = nullptr;
}

absl::Status CallRecord::Cancelled() {
  const absl::Duration slack =
      kClockSlack + (deadline_ - started_) / kTimeoutPrecision;
  const bool expired = parts_.clock->MonotonicNow() >= deadline_ - slack;
  cancel_code_ = expired ? absl::StatusCode::kDeadlineExceeded
                         : absl::StatusCode::kCancelled;
  return expired ? absl::DeadlineExceededError("the deadline has passed")
                 : absl::CancelledError("the caller has cancelled the call");
}

void CallRecord::Done() {
  {
    MutexLock lock(&mutex_);
    context_ = nullptr;
  }
  const absl::StatusCode cancel_code = cancel_code_;
  const absl::StatusCode code =
      cancel_code == absl::StatusCode::kOk ? code_ : cancel_code;
  parts_.metrics->CallHandled(method_, static_cast<int>(code), handling_);
}

}  // namespace neumf
