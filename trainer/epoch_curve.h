#pragma once

// The held-out metrics by epoch, and the choice of the best epoch.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "eval/evaluation.h"
#include "eval/protocols.h"
#include "nlohmann/json.hpp"
#include "trainer/model/parameters.h"
#include "trainer/training_state.h"

namespace neumf {

struct CurveOptions {
  uint32_t every = 0;     // epochs between evaluations; 0: none
  uint32_t last = 0;      // the epoch that is evaluated whatever `every` says
  uint32_t patience = 0;  // evaluations without a better one; 0: never stops
  std::string select_by;  // metric that is better when larger; "": the first
};

// OK when the protocol has a metric of that name; else INVALID_ARGUMENT names
// those that it has.
absl::Status CheckMetricName(Protocol protocol, bool whole_lists,
                             absl::string_view name);

// Belongs to one thread.
class EpochCurve {
 public:
  using Measure = absl::FunctionRef<absl::StatusOr<Evaluation>(
      const Parameters& parameters)>;

  // What `measure` is made of must outlive this.
  EpochCurve(const CurveOptions& options, Measure measure)
      : options_(options), measure_(measure) {}

  // After an epoch; 0 is before the first: evaluated, but never the best, as
  // nobody wants to publish what is not trained. False when training should
  // stop.
  // REQUIRES: CheckMetricName() is OK for the name that selects, or it is empty.
  absl::StatusOr<bool> Add(uint32_t epoch, const Parameters& parameters);

  // Whether it is to find the best epoch.
  bool chooses() const { return options_.every > 0 && options_.patience > 0; }

  // Whether training should go on after what was added so far.
  bool goes_on() const {
    return options_.patience == 0 || state_.num_worse < options_.patience;
  }

  // [{"epoch": 0, "hit@50": ...}, ...].
  const nlohmann::json& points() const { return state_.points; }

  // With patience: the best epoch and its parameters; else none.
  bool has_best() const { return best_.has_value(); }
  uint32_t best_epoch() const { return state_.best_epoch; }
  std::optional<Parameters> TakeBest() { return std::move(best_); }

  // What another curve of the same options needs to go on where this one
  // stands. The best parameters are those of `spec`.
  void Save(TrainingState* state) const;
  void Restore(const TrainingState& state, const ModelSpec& spec);

 private:
  const CurveOptions options_;
  const Measure measure_;
  CurveState state_;
  std::optional<Parameters> best_;
};

}  // namespace neumf
