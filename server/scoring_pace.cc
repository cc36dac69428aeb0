#include "server/scoring_pace.h"

#include <algorithm>

namespace neumf {
namespace {

constexpr double kWeightOfThePast = 0.95;
constexpr double kMostOfExpected = 4;

}  // namespace

void ScoringPace::Observe(size_t num_users, absl::Duration took) {
  if (known()) took = std::min(took, TimeFor(num_users) * kMostOfExpected);
  const size_t units = (num_users + users_per_unit_ - 1) / users_per_unit_;
  units_ = units_ * kWeightOfThePast + static_cast<double>(units);
  seconds_ = seconds_ * kWeightOfThePast + absl::ToDoubleSeconds(took);
}

absl::Duration ScoringPace::TimeFor(size_t num_users) const {
  if (!known()) return absl::ZeroDuration();
  const size_t units = (num_users + users_per_unit_ - 1) / users_per_unit_;
  return absl::Seconds(seconds_ / units_ * static_cast<double>(units));
}

size_t ScoringPace::UsersWithin(absl::Duration time, size_t most) const {
  size_t users = 1;
  while (users * 2 <= most && TimeFor(users * 2) <= time) users *= 2;
  return users;
}

}  // namespace neumf
