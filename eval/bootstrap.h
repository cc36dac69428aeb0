#pragma once

// Whether one model is better than another, judged by the users that both were
// evaluated on.

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace neumf {

struct BootstrapOptions {
  // More make the interval's ends steadier and take longer. Default: enough for
  // two digits of a p-value of .01.
  uint64_t num_resamples = 10'000;
  // Of the draws: the same seed gives the same result anywhere.
  uint64_t seed = 1;
};

struct PairedDifference {
  uint64_t num_users = 0;
  double mean = 0;  // of a - b
  // The middle 95 % of the resampled means.
  double low = 0;
  double high = 0;
  // Two-sided, that there is no difference: twice the share of resampled means
  // on the other side of zero or on it, at most 1. It counts one mean more than
  // was drawn, so it is never 0.
  double p_value = 1;
};

// Resamples the users, with replacement, and looks at the mean of a - b.
// `a[i]` and `b[i]` are a metric's values of the same user.
// INVALID_ARGUMENT when there is no user, the two differ in length, a value is
// not finite, or there are no resamples.
absl::StatusOr<PairedDifference> PairedBootstrap(
    absl::Span<const double> a, absl::Span<const double> b,
    const BootstrapOptions& options);

}  // namespace neumf
