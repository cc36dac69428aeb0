#include "trainer/epoch_curve.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace neumf {

absl::StatusOr<bool> EpochCurve::Add(uint32_t epoch,
                                     const Parameters& parameters) {
  if (options_.every == 0 || epoch % options_.every != 0) return true;
  NEUMF_ASSIGN_OR_RETURN(const Evaluation evaluation, measure_(parameters));
  const Metric* const selecting = options_.select_by.empty()
                                      ? &evaluation.metrics.front()
                                      : evaluation.Find(options_.select_by);
  if (selecting == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--select_by: this protocol has no metric '", options_.select_by, "'"));
  }
  nlohmann::json point = {{"epoch", epoch}};
  for (const Metric& metric : evaluation.metrics) {
    point[metric.name] = metric.mean;
  }
  points_.push_back(std::move(point));
  if (options_.patience == 0) return true;
  if (best_.has_value() && selecting->mean <= best_value_) {
    return ++num_worse_ < options_.patience;
  }
  best_value_ = selecting->mean;
  best_epoch_ = epoch;
  best_ = parameters;
  num_worse_ = 0;
  return true;
}

}  // namespace neumf
