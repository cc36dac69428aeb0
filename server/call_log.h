#pragma once

// Lines of the log about single calls, for whoever follows one of them through
// several systems: calls that the server failed, and those that took long. Each
// kind has a line in ten seconds at most, and says how many had none.
//
//   event=call_failed method=Recommend code=UNAVAILABLE seconds=0.002
//       caller=shop trace_id=4bf9... span_id=00f0... left_out=17
//
// Any thread may call any method.

#include <array>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/log_limiter.h"
#include "grpcpp/server_context.h"
#include "server/server_metrics.h"

namespace neumf {

class CallLog {
 public:
  // A call that is over.
  struct Call {
    RpcMethod method = RpcMethod::kRecommend;
    absl::StatusCode code = absl::StatusCode::kOk;
    absl::Duration duration;
    const std::string& caller;
    const grpc::CallbackServerContext& context;
  };

  // Calls of at least `slow` are slow; zero: none is.
  CallLog(absl::Duration slow, const Clock* clock);

  // Writes a line if there is reason to: for what the server is to blame for, or
  // a deadline that has passed. Streams of health and reflection last long and
  // are none of it.
  void Ended(const Call& call);

 private:
  static constexpr size_t kNumCodes = 17;

  void Log(absl::string_view event, const Call& call, LogLimiter* limiter);

  const absl::Duration slow_;
  const Clock* const clock_;
  LogLimiter slow_calls_;
  std::array<std::unique_ptr<LogLimiter>, kNumCodes> failed_calls_;
};

}  // namespace neumf
