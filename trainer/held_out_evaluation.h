#pragma once

// Evaluates a model in the serving form on the held-out events of a data set,
// through the scorer that serves. Users and items are matched by external id,
// so the model may come from any checkpoint.

#include "absl/status/statusor.h"
#include "data/event_log.h"
#include "data/split.h"
#include "eval/protocols.h"
#include "model/serving_model.h"
#include "nlohmann/json.hpp"

namespace neumf {

// Protocol d2l of eval/protocols.h: the candidates of a user are the items
// without a train event in `split`, whatever `model.seen` says.
// INVALID_ARGUMENT when nothing is held out, or when the model lacks users or
// items of `log`, which it counts; FAILED_PRECONDITION when so many scores tie
// that the order of the rows moves a metric by more than .001.
absl::StatusOr<LeaveOneOutMetrics> EvaluateHeldOut(const ServingModel& model,
                                                   const ItemTables& items,
                                                   const EventLog& log,
                                                   const Split& split,
                                                   size_t num_threads);

// Under the keys of a metrics file.
nlohmann::json MetricsJson(const LeaveOneOutMetrics& metrics);

}  // namespace neumf
