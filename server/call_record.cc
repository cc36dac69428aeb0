#include "server/call_record.h"

#include <algorithm>

#include "google/protobuf/util/time_util.h"
#include "grpc/support/time.h"
#include "server/trace_context.h"

namespace neumf {
namespace {

// gRPC keeps deadlines in milliseconds, and its clients send time-outs that are
// rounded up, by a hundredth at most.
constexpr absl::Duration kClockSlack = absl::Milliseconds(5);
constexpr int kTimeoutPrecision = 100;
// What a client has to take the end of its call after its deadline.
constexpr absl::Duration kDeadlineGrace = absl::Seconds(1);

// A call brings a time-out, which gRPC adds to its monotonic clock. Not
// context.deadline(): that would make wall time of it, and the wall clock may
// jump before it is turned back.
absl::Duration MonotonicDeadline(const grpc::CallbackServerContext& context,
                                 const CallParts& parts) {
  constexpr gpr_clock_type kClock = GPR_CLOCK_MONOTONIC;
  const gpr_timespec deadline =
      gpr_convert_clock_type(context.raw_deadline(), kClock);
  if (gpr_time_cmp(deadline, gpr_inf_future(kClock)) == 0) {
    return parts.clock->MonotonicNow() + parts.default_deadline;
  }
  const gpr_timespec left = gpr_time_sub(deadline, gpr_now(kClock));
  return parts.clock->MonotonicNow() + absl::Seconds(left.tv_sec) +
         absl::Nanoseconds(left.tv_nsec);
}

// A message with the frames around it.
size_t FramedBytes(size_t message_bytes) {
  constexpr size_t kMessageBytesPerFramingByte = 64;
  return message_bytes + message_bytes / kMessageBytesPerFramingByte;
}

// What a call has taken on the wire, and some more: HPACK makes metadata
// smaller, and frames and TLS add a little to them and to the message.
int64_t BytesOnWire(const grpc::CallbackServerContext& context,
                    size_t message_bytes) {
  constexpr size_t kCallBytes = 512;  // path, authority, time-out and such
  constexpr size_t kHeaderBytes = 8;
  size_t bytes = kCallBytes + FramedBytes(message_bytes);
  for (const auto& [name, value] : context.client_metadata()) {
    bytes += name.size() + value.size() + kHeaderBytes;
  }
  return static_cast<int64_t>(bytes);
}

// The longest that a Duration of protobuf may say, some 10,000 years; callers
// may ask for more. Whoever does sets as good as no deadline.
constexpr absl::Duration kLongestTimeout =
    absl::Seconds(google::protobuf::util::TimeUtil::kDurationMaxSeconds);

// Else one message has come before the handler is called.
bool StreamsRequests(RpcMethod method) {
  return method == RpcMethod::kReflection ||
         method == RpcMethod::kReflectionAlpha;
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  return google::protobuf::util::TimeUtil::MicrosecondsToDuration(
      absl::ToInt64Microseconds(duration));
}

google::protobuf::Timestamp ToTimestamp(absl::Time time) {
  return google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(
      absl::ToUnixMicros(time));
}

}  // namespace

CallRecord::CallRecord(const CallParts& parts, RpcMethod method,
                       grpc::CallbackServerContext* context)
    : parts_(parts),
      method_(method),
      caller_context_(*context),
      started_(parts.clock->MonotonicNow()),
      deadline_(MonotonicDeadline(*context, parts)),
      peer_(parts.resets == nullptr
                ? nullptr
                : parts.resets->CallBegan(
                      context->peer(),
                      BytesOnWire(*context, parts.message_bytes))),
      context_(context) {
  IntakeGuard::HandlerEntered(context);
  parts_.metrics->CallStarted(method_);
  if (!StreamsRequests(method_)) parts_.metrics->MessageReceived(method_);
}

void CallRecord::MessageReceived(size_t bytes) {
  constexpr size_t kFrameBytes = 64;  // of HTTP/2 and TLS, of a small message
  parts_.metrics->MessageReceived(method_);
  if (peer_ == nullptr) return;
  parts_.resets->MessageCame(
      peer_, static_cast<int64_t>(kFrameBytes + FramedBytes(bytes)));
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
  was_cut_.store(true, std::memory_order_release);
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
  if (peer_ != nullptr) parts_.resets->CallEnded(peer_);
  const absl::StatusCode cancel_code = cancel_code_;
  const absl::StatusCode code =
      cancel_code == absl::StatusCode::kOk ? code_ : cancel_code;
  parts_.metrics->CallHandled(method_, static_cast<int>(code), handling_);
  Log(code);
}

void CallRecord::Log(absl::StatusCode code) {
  if (parts_.call_log != nullptr) {
    parts_.call_log->Ended(
        {method_, code, handling_, caller_, caller_context_});
  }
  if (logged_ == nullptr) return;
  *logged_->mutable_time() = ToTimestamp(parts_.clock->WallNow() - Elapsed());
  logged_->set_caller(caller_);
  logged_->set_code(absl::StatusCodeToString(code));
  *logged_->mutable_duration() = ToProto(handling_);
  if (deadline_ - started_ <= kLongestTimeout) {
    *logged_->mutable_timeout() = ToProto(deadline_ - started_);
  }
  if (const auto trace = TraceOf(caller_context_)) {
    logged_->set_trace_id(trace->trace_id);
    logged_->set_span_id(trace->span_id);
  }
  parts_.request_log->Add(std::move(logged_));
}

}  // namespace neumf
