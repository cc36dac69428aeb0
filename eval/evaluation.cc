#include "eval/evaluation.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace neumf {

const Metric* Evaluation::Find(absl::string_view name) const {
  const auto metric =
      std::find_if(metrics.begin(), metrics.end(),
                   [&](const Metric& other) { return other.name == name; });
  return metric == metrics.end() ? nullptr : &*metric;
}

absl::Status CheckTies(const Evaluation& evaluation) {
  for (const Metric& metric : evaluation.metrics) {
    if (std::abs(metric.mean - metric.midrank_mean) <= kMostMovedByTies) {
      continue;
    }
    return absl::FailedPreconditionError(absl::StrCat(
        "too many scores tie, the model is broken: ", metric.name, " is ",
        metric.mean, " by the protocol's rule of ties and ",
        metric.midrank_mean, " with ties counted half"));
  }
  return absl::OkStatus();
}

}  // namespace neumf
