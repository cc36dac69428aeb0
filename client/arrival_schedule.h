#pragma once

// When the calls of an open-loop load are due: a schedule that is made without
// a look at how the server does, as users do not wait for each other.
//
//   ArrivalSchedule schedule(ArrivalSchedule::Kind::kPoisson, 500, /*seed=*/1);
//   absl::Duration first = schedule.Next();   // since the start
//   absl::Duration second = schedule.Next();  // at or after the first
//
// Belongs to one thread. The same seed gives the same schedule.

#include <cstdint>

#include "absl/time/time.h"

namespace neumf {

class ArrivalSchedule {
 public:
  enum class Kind {
    kPoisson,  // independent callers: exponential gaps
    kUniform,  // equal gaps
  };

  // `rate` is calls a second. REQUIRES: rate > 0.
  ArrivalSchedule(Kind kind, double rate, uint64_t seed);

  // When the next call is due, since the start.
  absl::Duration Next();

 private:
  const Kind kind_;
  const double rate_;
  uint64_t random_state_;
  int64_t num_calls_ = 0;
  double seconds_ = 0;  // of the last call
};

}  // namespace neumf
