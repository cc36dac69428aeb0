#include "trainer/held_out_evaluation.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "data/interactions.h"
#include "model/user_vectors.h"

namespace neumf {
namespace {

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

// The model's rows for those of the data.
struct RowMaps {
  std::vector<uint32_t> users;
  std::vector<uint32_t> items;
};

absl::StatusOr<RowMaps> MatchRows(const ServingModel& model,
                                  const EventLog& log) {
  RowMaps maps;
  NEUMF_ASSIGN_OR_RETURN(maps.users,
                         MatchIds(model.user_ids, log.user_ids, "users"));
  NEUMF_ASSIGN_OR_RETURN(maps.items,
                         MatchIds(model.item_ids, log.item_ids, "items"));
  return maps;
}

// A user's items as the model's rows, by the data's user row.
Interactions ItemsOfUsers(absl::Span<const Event> events, const EventLog& log,
                          const RowMaps& maps, uint64_t num_model_items) {
  std::vector<Event> translated(events.begin(), events.end());
  for (Event& event : translated) event.item = maps.items[event.item];
  return Interactions(log.num_users(), num_model_items, translated);
}

// Rows of the model that the data does not know of: in nobody's catalog.
std::vector<uint32_t> ForeignItems(const RowMaps& maps,
                                   uint64_t num_model_items) {
  std::vector<bool> known(num_model_items);
  for (const uint32_t row : maps.items) known[row] = true;
  std::vector<uint32_t> foreign;
  for (uint32_t row = 0; row < num_model_items; ++row) {
    if (!known[row]) foreign.push_back(row);
  }
  return foreign;
}

// Everything that the queries of an evaluation point to, in the model's rows.
class HeldOutQueries {
 public:
  // All but `model` are done with when it is made.
  HeldOutQueries(const ServingModel& model, const EventLog& log,
                 const Split& split, const RowMaps& maps,
                 const HeldOutOptions& options)
      : train_(ItemsOfUsers(split.train, log, maps, model.shape.num_items)),
        held_out_(
            ItemsOfUsers(split.held_out, log, maps, model.shape.num_items)),
        demoted_(ItemsOfUsers(options.drop_rated
                                  ? absl::MakeConstSpan(split.low_rated)
                                  : absl::Span<const Event>(),
                              log, maps, model.shape.num_items)),
        negatives_(log.num_users()) {
    for (size_t e = 0; e < split.negatives.size(); ++e) {
      std::vector<uint32_t>& rows = negatives_[split.held_out[e].user];
      for (const uint32_t item : split.negatives[e]) {
        rows.push_back(maps.items[item]);
      }
    }
    for (uint32_t user = 0; user < log.num_users(); ++user) {
      if (!held_out_.row(user).empty()) Add(user, maps.users[user], model);
    }
  }
  HeldOutQueries(const HeldOutQueries&) = delete;
  HeldOutQueries& operator=(const HeldOutQueries&) = delete;

  absl::Span<const HeldOutQuery> queries() const { return queries_; }
  // Rows of the data, by query.
  const std::vector<uint32_t>& users() const { return users_; }

 private:
  void Add(uint32_t user, uint32_t model_row, const ServingModel& model) {
    vectors_.emplace_back(model.users, model_row);
    HeldOutQuery query;
    query.user_gmf = vectors_.back().gmf();
    query.user_tower = vectors_.back().tower();
    query.seen = train_.row(user);
    query.held_out = held_out_.row(user);
    query.negatives = negatives_[user];
    query.demoted = demoted_.row(user);
    queries_.push_back(query);
    users_.push_back(user);
  }

  const Interactions train_;
  const Interactions held_out_;
  const Interactions demoted_;
  std::vector<std::vector<uint32_t>> negatives_;  // by the data's user row
  std::vector<UserVectors> vectors_;
  std::vector<HeldOutQuery> queries_;
  std::vector<uint32_t> users_;
};

// The protocol ncf asks for the place of one item.
absl::Status CheckOneHeldOutItem(const EventLog& log, const Split& split) {
  std::vector<bool> has_one(log.num_users());
  for (const Event& event : split.held_out) {
    if (has_one[event.user]) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the protocol ncf ranks one held-out item of a user, and user ",
          log.user_ids[event.user],
          " has several: leave one test line of each user, or take the "
          "protocol full"));
    }
    has_one[event.user] = true;
  }
  return absl::OkStatus();
}

// The id as a field of CSV.
std::string CsvField(absl::string_view id) {
  if (id.find_first_of(",\t\"\r\n") == absl::string_view::npos) {
    return std::string(id);
  }
  return absl::StrCat("\"", absl::StrReplaceAll(id, {{"\"", "\"\""}}), "\"");
}

}  // namespace

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

absl::Status CheckHeldOut(const EventLog& log, const Split& split,
                          const HeldOutOptions& options) {
  if (split.held_out.empty()) {
    return absl::InvalidArgumentError(
        "nothing is held out: no user has an event to spare");
  }
  if (options.protocol == Protocol::kNcf && split.negatives.empty()) {
    return absl::InvalidArgumentError(
        "the protocol ncf ranks an item among negatives that the data lists, "
        "and this data lists none: take the protocol full");
  }
  if (options.drop_rated && options.protocol != Protocol::kTriplet) {
    return absl::InvalidArgumentError(
        "low-rated items are dropped by the protocol triplet only");
  }
  if (options.whole_lists && options.protocol != Protocol::kFull) {
    return absl::InvalidArgumentError(
        "the protocol full alone is one that whole lists change");
  }
  return options.protocol == Protocol::kNcf ? CheckOneHeldOutItem(log, split)
                                            : absl::OkStatus();
}

absl::StatusOr<HeldOutEvaluation> EvaluateHeldOut(
    const ServingModel& model, const ItemTables& items, const EventLog& log,
    const Split& split, const HeldOutOptions& options) {
  NEUMF_RETURN_IF_ERROR(CheckHeldOut(log, split, options));
  NEUMF_ASSIGN_OR_RETURN(const RowMaps maps, MatchRows(model, log));
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<Scorer> scorer,
                         BuildScorer(model, items, options.num_threads));
  const HeldOutQueries queries(model, log, split, maps, options);
  const std::vector<uint32_t> foreign =
      ForeignItems(maps, model.shape.num_items);
  EvaluationOptions evaluation;
  evaluation.protocol = options.protocol;
  evaluation.excluded = foreign;
  evaluation.whole_lists = options.whole_lists;

  HeldOutEvaluation result;
  result.protocol = options.protocol;
  result.drop_rated = options.drop_rated;
  result.users = queries.users();
  NEUMF_ASSIGN_OR_RETURN(
      result.evaluation,
      EvaluateProtocol(*scorer, queries.queries(), evaluation));
  if (options.check_ties) {
    NEUMF_RETURN_IF_ERROR(CheckTies(result.evaluation));
  }
  return result;
}

nlohmann::json MetricsJson(const HeldOutEvaluation& held_out) {
  nlohmann::json json = {
      {"protocol", std::string(ProtocolName(held_out.protocol))},
      {"evaluated_users", held_out.evaluation.num_users}};
  if (held_out.protocol == Protocol::kTriplet) {
    json["drop_rated"] = held_out.drop_rated;
  }
  for (const Metric& metric : held_out.evaluation.metrics) {
    json[metric.name] = metric.mean;
    json[absl::StrCat(metric.name, "_midrank")] = metric.midrank_mean;
    json[absl::StrCat(metric.name, "_standard_error")] = metric.standard_error;
  }
  return json;
}

std::string PerUserCsv(const HeldOutEvaluation& held_out, const EventLog& log) {
  const std::vector<Metric>& metrics = held_out.evaluation.metrics;
  std::string text = "user_id";
  for (const Metric& metric : metrics) absl::StrAppend(&text, ",", metric.name);
  text += "\n";
  for (size_t u = 0; u < held_out.users.size(); ++u) {
    text += CsvField(log.user_ids[held_out.users[u]]);
    for (const Metric& metric : metrics) {
      absl::StrAppendFormat(&text, ",%.17g", metric.per_user[u]);
    }
    text += "\n";
  }
  return text;
}

}  // namespace neumf
