#include "client/arrival_schedule.h"

#include <cmath>

#include "base/logging.h"
#include "base/split_mix64.h"

namespace neumf {
namespace {

// In (0, 1], so that its logarithm is finite.
double PositiveUnit(uint64_t bits) {
  return static_cast<double>((bits >> 11) + 1) * 0x1p-53;
}

}  // namespace

ArrivalSchedule::ArrivalSchedule(Kind kind, double rate, uint64_t seed)
    : kind_(kind), rate_(rate), random_state_(seed) {
  NEUMF_CHECK(rate > 0);
}

absl::Duration ArrivalSchedule::Next() {
  if (kind_ == Kind::kUniform) {
    // By a product: sums of many rounded gaps would drift.
    seconds_ = static_cast<double>(num_calls_++) / rate_;
  } else {
    random_state_ += kSplitMix64Step;
    seconds_ -= std::log(PositiveUnit(SplitMix64(random_state_))) / rate_;
  }
  return absl::Seconds(seconds_);
}

}  // namespace neumf
