#pragma once

// The held-out metrics by epoch, and the choice of the best epoch.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "eval/evaluation.h"
#include "nlohmann/json.hpp"
#include "trainer/model/parameters.h"

namespace neumf {

struct CurveOptions {
  uint32_t every = 0;     // epochs between evaluations; 0: none
  uint32_t patience = 0;  // evaluations without a better one; 0: never stops
  std::string select_by;  // metric that is better when larger; "": the first
};

// Belongs to one thread.
class EpochCurve {
 public:
  using Measure = absl::FunctionRef<absl::StatusOr<Evaluation>(
      const Parameters& parameters)>;

  // What `measure` is made of must outlive this.
  EpochCurve(const CurveOptions& options, Measure measure)
      : options_(options), measure_(measure) {}

  // After an epoch; 0 is before the first. False when training should stop.
  // INVALID_ARGUMENT when there is no metric of the name that selects.
  absl::StatusOr<bool> Add(uint32_t epoch, const Parameters& parameters);

  // [{"epoch": 0, "hit@50": ...}, ...].
  const nlohmann::json& points() const { return points_; }

  // With patience: the best epoch and its parameters; else none.
  uint32_t best_epoch() const { return best_epoch_; }
  std::optional<Parameters> TakeBest() { return std::move(best_); }

 private:
  const CurveOptions options_;
  const Measure measure_;
  nlohmann::json points_ = nlohmann::json::array();
  double best_value_ = 0;
  uint32_t best_epoch_ = 0;
  uint32_t num_worse_ = 0;  // evaluations since the best
  std::optional<Parameters> best_;
};

}  // namespace neumf
