#pragma once

// What an evaluation found: every metric of every user, and their means.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace neumf {

struct Metric {
  std::string name;  // as in a metrics file, "hit@50"
  double mean = 0;   // over the users
  // Of the mean, from how the users differ: what another sample of users would
  // change. 0 with one user.
  double standard_error = 0;
  // The mean when every held-out item stands in the middle of the items that
  // score the same. A trained model whose means differ has broken scores.
  double midrank_mean = 0;
  std::vector<double> per_user;  // in the order of the queries
};

struct Evaluation {
  uint64_t num_users = 0;
  std::vector<Metric> metrics;

  // Null where there is none of this name.
  const Metric* Find(absl::string_view name) const;
};

// How far ties may move a mean.
inline constexpr double kMostMovedByTies = 0.001;

// FAILED_PRECONDITION when the rule of ties moves a mean by more, naming the
// metric: scores that tie so often come from dead units or saturated sigmoids.
absl::Status CheckTies(const Evaluation& evaluation);

}  // namespace neumf
