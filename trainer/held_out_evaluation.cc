#include "trainer/held_out_evaluation.h"

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "data/interactions.h"
#include "scoring/scorer.h"

namespace neumf {
namespace {

constexpr double kMostMovedByTies = 0.001;

absl::StatusOr<std::unique_ptr<Scorer>> BuildScorer(const ServingModel& model,
                                                    const ItemTables& items,
                                                    size_t num_threads) {
  ScorerOptions options;
  options.num_threads = num_threads;
  NEUMF_ASSIGN_OR_RETURN(
      std::unique_ptr<ScorerBuilder> builder,
      MakeScorerBuilder(Backend::kCpu, model.shape, model.network, options));
  NEUMF_RETURN_IF_ERROR(StreamItemTables(
      items, [&](const ItemRows& rows) { return builder->Add(rows); }));
  return builder->Build();
}

// The model's row of each of the data's ids; `what` names them in the error.
absl::StatusOr<std::vector<uint32_t>> MatchIds(
    const IdTable& table, absl::Span<const std::string> ids,
    absl::string_view what) {
  std::vector<uint32_t> rows;
  rows.reserve(ids.size());
  for (const std::string& id : ids) {
    if (const auto row = table.Find(id)) rows.push_back(*row);
  }
  if (rows.size() < ids.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the model lacks ", ids.size() - rows.size(), " of the ",
                     ids.size(), " ", what, " of the data"));
  }
  return rows;
}

// `events` with the model's rows in place of the data's.
std::vector<Event> Translate(absl::Span<const Event> events,
                             const std::vector<uint32_t>& user_rows,
                             const std::vector<uint32_t>& item_rows) {
  std::vector<Event> translated(events.begin(), events.end());
  for (Event& event : translated) {
    event.user = user_rows[event.user];
    event.item = item_rows[event.item];
  }
  return translated;
}

absl::Status CheckTies(const LeaveOneOutMetrics& metrics) {
  if (std::abs(metrics.hit_at_50 - metrics.midrank_hit_at_50) <=
          kMostMovedByTies &&
      std::abs(metrics.auc - metrics.midrank_auc) <= kMostMovedByTies) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("too many scores tie, the model is broken: hit@50 ",
                   metrics.hit_at_50, " and auc ", metrics.auc,
                   " with ties by row, ", metrics.midrank_hit_at_50, " and ",
                   metrics.midrank_auc, " with ties counted half"));
}

}  // namespace

absl::StatusOr<LeaveOneOutMetrics> EvaluateHeldOut(const ServingModel& model,
                                                   const ItemTables& items,
                                                   const EventLog& log,
                                                   const Split& split,
                                                   size_t num_threads) {
  if (split.held_out.empty()) {
    return absl::InvalidArgumentError(
        "nothing is held out: no user has an event to spare");
  }
  NEUMF_ASSIGN_OR_RETURN(const std::vector<uint32_t> user_rows,
                         MatchIds(model.user_ids, log.user_ids, "users"));
  NEUMF_ASSIGN_OR_RETURN(const std::vector<uint32_t> item_rows,
                         MatchIds(model.item_ids, log.item_ids, "items"));
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<Scorer> scorer,
                         BuildScorer(model, items, num_threads));

  const Interactions train(model.shape.num_users, model.shape.num_items,
                           Translate(split.train, user_rows, item_rows));
  std::vector<HeldOutQuery> queries;
  queries.reserve(split.held_out.size());
  for (const Event& event : Translate(split.held_out, user_rows, item_rows)) {
    HeldOutQuery query;
    query.user_gmf = model.users.gmf.row(event.user).data();
    query.user_tower = model.users.tower.row(event.user).data();
    query.seen = train.row(event.user);
    query.held_out_item = event.item;
    queries.push_back(query);
  }
  NEUMF_ASSIGN_OR_RETURN(const LeaveOneOutMetrics metrics,
                         EvaluateLeaveOneOut(*scorer, queries));
  NEUMF_RETURN_IF_ERROR(CheckTies(metrics));
  return metrics;
}

nlohmann::json MetricsJson(const LeaveOneOutMetrics& metrics) {
  return {{"protocol", "d2l"},
          {"hit@50", metrics.hit_at_50},
          {"auc", metrics.auc},
          {"hit@50_midrank", metrics.midrank_hit_at_50},
          {"auc_midrank", metrics.midrank_auc},
          {"evaluated_users", metrics.num_users}};
}

}  // namespace neumf
