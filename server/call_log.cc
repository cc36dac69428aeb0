#include "server/call_log.h"

#include "base/logging.h"
#include "server/trace_context.h"

namespace neumf {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(10);

bool IsFailure(absl::StatusCode code) {
  return code == absl::StatusCode::kUnknown ||
         code == absl::StatusCode::kInternal ||
         code == absl::StatusCode::kDataLoss ||
         code == absl::StatusCode::kUnavailable ||
         code == absl::StatusCode::kDeadlineExceeded;
}

bool LastsLong(RpcMethod method) {
  return method == RpcMethod::kHealthWatch ||
         method == RpcMethod::kReflection ||
         method == RpcMethod::kReflectionAlpha;
}

}  // namespace

CallLog::CallLog(absl::Duration slow, const Clock* clock)
    : slow_(slow), clock_(clock), slow_calls_(kInterval) {
  for (auto& limiter : failed_calls_) {
    limiter = std::make_unique<LogLimiter>(kInterval);
  }
}

void CallLog::Ended(const Call& call) {
  if (LastsLong(call.method)) return;
  if (IsFailure(call.code)) {
    Log("call_failed", call,
        failed_calls_[static_cast<size_t>(call.code)].get());
  } else if (slow_ > absl::ZeroDuration() && call.duration >= slow_) {
    Log("call_slow", call, &slow_calls_);
  }
}

void CallLog::Log(absl::string_view event, const Call& call,
                  LogLimiter* limiter) {
  const auto left_out = limiter->Admit(clock_->MonotonicNow());
  if (!left_out.has_value()) return;
  LogEvent line(event);
  line.With("method", RpcMethodName(call.method))
      .With("code", absl::StatusCodeToString(call.code))
      .WithNumber("seconds", absl::ToDoubleSeconds(call.duration));
  if (!call.caller.empty()) line.With("caller", call.caller);
  if (const auto trace = TraceOf(call.context)) {
    line.With("trace_id", trace->trace_id).With("span_id", trace->span_id);
  }
  line.WithNumber("left_out", *left_out);
}

}  // namespace neumf
