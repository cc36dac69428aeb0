#include "server/scoring_pace.h"

#include <algorithm>
#include <cmath>

namespace neumf {
namespace {

constexpr double kWeightOfThePast = 0.95;
constexpr double kMostOfExpected = 4;
constexpr absl::Duration kShortest = absl::Nanoseconds(1);

}  // namespace

void ScoringPace::Observe(size_t num_users, absl::Duration took) {
  // Of a clock too coarse to tell: an expectation of nothing would stay so.
  took = std::max(took, kShortest);
  if (known()) took = std::min(took, TimeFor(num_users) * kMostOfExpected);
  const size_t units = (num_users + users_per_unit_ - 1) / users_per_unit_;
  units_ = units_ * kWeightOfThePast + static_cast<double>(units);
  seconds_ = seconds_ * kWeightOfThePast + absl::ToDoubleSeconds(took);
}

absl::Duration ScoringPace::TimeFor(size_t num_users) const {
  if (!known()) return absl::ZeroDuration();
  const size_t units = (num_users + users_per_unit_ - 1) / users_per_unit_;
  return UnitTime() * static_cast<double>(units);
}

absl::Duration ScoringPace::UnitTime() const {
  return absl::Seconds(seconds_ / units_);
}

size_t ScoringPace::UsersWithin(absl::Duration time, size_t most) const {
  // A little more, so that rounding takes nothing from a time that just fits.
  const double units = absl::FDivDuration(time, UnitTime()) * (1 + 1e-9);
  if (units < 1) return 1;
  const double users = std::floor(units) * static_cast<double>(users_per_unit_);
  if (users >= static_cast<double>(most)) return most;
  return static_cast<size_t>(users);
}

}  // namespace neumf
