#pragma once

// How long users take, as measured of late: from when a batch of them leaves
// the queue until its answers are on their way, since the next one starts only
// then.
//
// Time goes by units of work: on a CPU each user costs one scan of the catalog,
// on a GPU a pass costs much the same for one user and for all that fit. What
// is known is an average that forgets: about the last twenty batches count.
//
// For one thread at a time.

#include <cstddef>

#include "absl/time/time.h"

namespace neumf {

class ScoringPace {
 public:
  // REQUIRES: users_per_unit > 0.
  explicit ScoringPace(size_t users_per_unit)
      : users_per_unit_(users_per_unit) {}

  // A batch was scored and answered. One that took far longer than expected
  // counts as no more than a few times the expected: whatever stopped it (a
  // debugger, a suspended machine) shall not make callers be refused for long.
  // REQUIRES: num_users > 0.
  void Observe(size_t num_users, absl::Duration took);

  // False before the first batch; then TimeFor() is zero.
  bool known() const { return units_ > 0; }
  absl::Duration TimeFor(size_t num_users) const;
  // How many users are scored within `time`, from 1 to `most`. REQUIRES:
  // known(), most > 0.
  size_t UsersWithin(absl::Duration time, size_t most) const;

 private:
  // REQUIRES: known().
  absl::Duration UnitTime() const;

  const size_t users_per_unit_;
  // Of the batches so far, older ones with less weight.
  double units_ = 0;
  double seconds_ = 0;
};

}  // namespace neumf
