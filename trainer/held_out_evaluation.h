#pragma once

// Evaluates a model in the serving form on the held-out events of a data set,
// through the scorer that serves. Users and items are matched by external id,
// so the model may come from any checkpoint. Training and `neumf-train
// evaluate` both come here, so their numbers agree exactly.
//
//   HeldOutOptions options;
//   options.protocol = Protocol::kNcf;
//   NEUMF_ASSIGN_OR_RETURN(
//       const HeldOutEvaluation held_out,
//       EvaluateHeldOut(model, items, log, split, options));
//   metrics = MetricsJson(held_out);

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "data/event_log.h"
#include "data/split.h"
#include "eval/protocols.h"
#include "model/serving_model.h"
#include "nlohmann/json.hpp"
#include "scoring/scorer.h"

namespace neumf {

// The scorer that serves, over all of `items`. Threads change no answer.
absl::StatusOr<std::unique_ptr<Scorer>> BuildScorer(const ServingModel& model,
                                                    const ItemTables& items,
                                                    size_t num_threads);

struct HeldOutOptions {
  Protocol protocol = Protocol::kD2l;
  // kTriplet only: what a user rated low in training stands below all other
  // items, not among them. Default: among them.
  bool drop_rated = false;
  // kFull only: EvaluationOptions::whole_lists.
  bool whole_lists = false;
  // Fails when the rule of ties moves a metric, as below.
  bool check_ties = true;
  // Threads of the scorer; the numbers do not depend on them.
  size_t num_threads = 1;
};

struct HeldOutEvaluation {
  Protocol protocol = Protocol::kD2l;
  bool drop_rated = false;
  Evaluation evaluation;
  std::vector<uint32_t> users;  // rows of the data, by place in per_user
};

// INVALID_ARGUMENT when nothing is held out, `split` has not what the options
// ask for, or the protocol cannot rank what a user of `log` has in it: what can
// be known before there is a model.
absl::Status CheckHeldOut(const EventLog& log, const Split& split,
                          const HeldOutOptions& options);

// The catalog is the items of `log`; the candidates of a user are those without
// a train event in `split`, whatever `model.seen` says, or for kNcf the held-out
// item and its negatives.
//
// INVALID_ARGUMENT as CheckHeldOut(), and when the model lacks users or items of
// `log`, which it counts; FAILED_PRECONDITION when so many scores tie that the rule of ties
// moves a metric by more than .001, or when a score is not a number.
absl::StatusOr<HeldOutEvaluation> EvaluateHeldOut(
    const ServingModel& model, const ItemTables& items, const EventLog& log,
    const Split& split, const HeldOutOptions& options);

// Under the keys of a metrics file: for each metric its name, the same with
// "_midrank" and with "_standard_error"; "protocol", "evaluated_users".
nlohmann::json MetricsJson(const HeldOutEvaluation& held_out);

// A CSV text, a line a user: "user_id,hit@50,auc", then the data's id and the
// values with all their digits, in the order of the data's user rows.
std::string PerUserCsv(const HeldOutEvaluation& held_out, const EventLog& log);

}  // namespace neumf
