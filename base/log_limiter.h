#pragma once

// Keeps a kind of event from filling the log: one line an interval at most.
//
//   if (const auto left_out = limiter.Admit(clock->MonotonicNow())) {
//     LogEvent("call_failed").WithNumber("left_out", *left_out);
//   }
//
// Any thread may use it, and none waits.

#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/time/time.h"

namespace neumf {

class LogLimiter {
 public:
  explicit LogLimiter(absl::Duration interval) : interval_(interval) {}

  // Whether a line may be written at `now`, on the monotonic clock: then the
  // number of those that were not since the last one.
  std::optional<uint64_t> Admit(absl::Duration now) {
    int64_t next = next_nanos_;
    if (absl::ToInt64Nanoseconds(now) < next ||
        !next_nanos_.compare_exchange_strong(
            next, absl::ToInt64Nanoseconds(now + interval_))) {
      ++left_out_;
      return std::nullopt;
    }
    return left_out_.exchange(0);
  }

 private:
  const absl::Duration interval_;
  std::atomic<int64_t> next_nanos_{std::numeric_limits<int64_t>::min()};
  std::atomic<uint64_t> left_out_{0};
};

}  // namespace neumf
