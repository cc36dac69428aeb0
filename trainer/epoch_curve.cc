#include "trainer/epoch_curve.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "eval/metric_rules.h"

namespace neumf {

absl::Status CheckMetricName(Protocol protocol, bool whole_lists,
                             absl::string_view name) {
  EvaluationOptions options;
  options.protocol = protocol;
  options.whole_lists = whole_lists;
  std::vector<absl::string_view> names;
  for (const MetricRule& rule : RulesOf(options).metrics) {
    if (name == rule.name) return absl::OkStatus();
    names.emplace_back(rule.name);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--select_by: the protocol ", ProtocolName(protocol), " has no metric '",
      name, "'; it has ", absl::StrJoin(names, ", ")));
}

absl::StatusOr<bool> EpochCurve::Add(uint32_t epoch,
                                     const Parameters& parameters) {
  if (options_.every == 0) return true;
  if (epoch % options_.every != 0 && epoch != options_.last) return true;
  NEUMF_ASSIGN_OR_RETURN(const Evaluation evaluation, measure_(parameters));
  const Metric* const selecting = options_.select_by.empty()
                                      ? &evaluation.metrics.front()
                                      : evaluation.Find(options_.select_by);
  NEUMF_CHECK(selecting != nullptr);
  nlohmann::json point = {{"epoch", epoch}};
  for (const Metric& metric : evaluation.metrics) {
    point[metric.name] = metric.mean;
  }
  state_.points.push_back(std::move(point));
  if (options_.patience == 0 || epoch == 0) return true;
  if (best_.has_value() && selecting->mean <= state_.best_value) {
    ++state_.num_worse;
    return goes_on();
  }
  state_.best_value = selecting->mean;
  state_.best_epoch = epoch;
  state_.num_worse = 0;
  best_ = parameters;
  return true;
}

void EpochCurve::Save(TrainingState* state) const {
  state->curve = state_;
  state->best_parameters.clear();
  if (best_.has_value()) {
    const absl::Span<const float> values = best_->values();
    state->best_parameters.assign(values.begin(), values.end());
  }
}

void EpochCurve::Restore(const TrainingState& state, const ModelSpec& spec) {
  state_ = state.curve;
  best_.reset();
  if (state.best_parameters.empty()) return;
  best_.emplace(spec);
  std::copy(state.best_parameters.begin(), state.best_parameters.end(),
            best_->values().begin());
}

}  // namespace neumf
