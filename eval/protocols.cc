#include "eval/protocols.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "eval/metric_rules.h"
#include "eval/places.h"
#include "eval/ranked_lists.h"

namespace neumf {
namespace {

constexpr std::pair<Protocol, absl::string_view> kNames[] = {
    {Protocol::kD2l, "d2l"},
    {Protocol::kNcf, "ncf"},
    {Protocol::kTriplet, "triplet"},
    {Protocol::kFull, "full"},
};

bool IsIn(absl::Span<const uint32_t> ascending_rows, uint32_t row) {
  return std::binary_search(ascending_rows.begin(), ascending_rows.end(), row);
}

// OK when every held-out item is in the user's catalog.
absl::Status CheckHeldOut(const HeldOutQuery& query,
                          const EvaluationOptions& options) {
  if (query.held_out.empty()) {
    return absl::InvalidArgumentError("there is no held-out item");
  }
  for (const uint32_t row : query.held_out) {
    if (IsIn(query.seen, row) || IsIn(options.excluded, row)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the held-out item row ", row, " is seen or excluded"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckNegatives(const HeldOutQuery& query) {
  if (query.held_out.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("the protocol ncf ranks one held-out item a user, not ",
                     query.held_out.size()));
  }
  if (query.negatives.empty()) {
    return absl::InvalidArgumentError(
        "the protocol ncf needs negatives to rank the held-out item among");
  }
  return absl::OkStatus();
}

absl::Status CheckQueries(absl::Span<const HeldOutQuery> queries,
                          const EvaluationOptions& options) {
  if (queries.empty()) {
    return absl::InvalidArgumentError("there is no held-out item to rank");
  }
  for (size_t q = 0; q < queries.size(); ++q) {
    absl::Status status = CheckHeldOut(queries[q], options);
    if (status.ok() && options.protocol == Protocol::kNcf) {
      status = CheckNegatives(queries[q]);
    }
    if (!status.ok()) return Annotate(status, absl::StrCat("query ", q));
  }
  return absl::OkStatus();
}

// Cuts off the places that count as not found.
absl::Span<const double> AboveDepth(const std::vector<double>& places,
                                    uint64_t depth) {
  const auto end = std::lower_bound(places.begin(), places.end(),
                                    static_cast<double>(depth));
  return absl::MakeConstSpan(places).first(
      static_cast<size_t>(end - places.begin()));
}

// Goes over the users and notes the metrics of each.
class Walk {
 public:
  Walk(const Scorer& scorer, const EvaluationOptions& options)
      : scorer_(scorer),
        options_(options),
        rules_(RulesOf(options)),
        finder_(scorer.shape().num_items),
        midranks_(rules_.metrics.size()) {
    for (const MetricRule& rule : rules_.metrics) {
      metrics_.emplace_back();
      metrics_.back().name = rule.name;
    }
  }

  absl::Status Add(absl::Span<const HeldOutQuery> users) {
    catalogs_.resize(users.size());
    NEUMF_RETURN_IF_ERROR(RankCatalogs(scorer_, rules_.depth, options_.excluded,
                                       users, absl::MakeSpan(catalogs_)));
    const bool is_cut = rules_.depth < scorer_.shape().num_items;
    if (options_.protocol == Protocol::kNcf) {
      NEUMF_RETURN_IF_ERROR(RankNegatives(users));
    } else if (is_cut) {
      NEUMF_RETURN_IF_ERROR(RankHeldOut(users));
    }
    for (size_t b = 0; b < users.size(); ++b) {
      AddList(RankedList::kCatalog, users[b], catalogs_[b], rules_.depth);
      if (options_.protocol != Protocol::kNcf) continue;
      AddList(RankedList::kNegatives, users[b], lists_[b], kWholeList);
    }
    return absl::OkStatus();
  }

  Evaluation Finish() {
    Evaluation evaluation;
    for (size_t m = 0; m < metrics_.size(); ++m) Summarize(m);
    evaluation.num_users = metrics_.front().per_user.size();
    evaluation.metrics = std::move(metrics_);
    return evaluation;
  }

 private:
  // Each user's held-out item among its negatives.
  absl::Status RankNegatives(absl::Span<const HeldOutQuery> users) {
    std::vector<std::vector<uint32_t>> rows(users.size());
    std::vector<absl::Span<const uint32_t>> spans(users.size());
    for (size_t b = 0; b < users.size(); ++b) {
      rows[b].assign(users[b].negatives.begin(), users[b].negatives.end());
      rows[b].push_back(users[b].held_out.front());
      std::sort(rows[b].begin(), rows[b].end());
      rows[b].erase(std::unique(rows[b].begin(), rows[b].end()), rows[b].end());
      spans[b] = rows[b];
    }
    lists_.resize(users.size());
    return RankLists(scorer_, users, spans, absl::MakeSpan(lists_));
  }

  // Only to find a score that is not a number: a list that was cut does not
  // show it.
  absl::Status RankHeldOut(absl::Span<const HeldOutQuery> users) {
    std::vector<absl::Span<const uint32_t>> spans(users.size());
    for (size_t b = 0; b < users.size(); ++b) spans[b] = users[b].held_out;
    lists_.resize(users.size());
    return RankLists(scorer_, users, spans, absl::MakeSpan(lists_));
  }

  // Notes the metrics that a list of the user gives.
  void AddList(RankedList list, const HeldOutQuery& user,
               const Ranking& ranking, uint64_t depth) {
    const bool demotes = options_.protocol == Protocol::kTriplet;
    const Places& places =
        finder_.Find(ranking.items, user.held_out,
                     demotes ? user.demoted : absl::Span<const uint32_t>());
    RankedUser ranked;
    ranked.num_held_out = user.held_out.size();
    ranked.num_candidates = ranking.eligible_count;
    for (size_t m = 0; m < metrics_.size(); ++m) {
      const MetricRule& rule = rules_.metrics[m];
      if (rule.list != list) continue;
      ranked.places = AboveDepth(PlacesUnder(rule.ties, places), depth);
      metrics_[m].per_user.push_back(rule.value(ranked));
      ranked.places = AboveDepth(places.midranks, depth);
      midranks_[m] += rule.value(ranked);
    }
  }

  void Summarize(size_t m) {
    Metric& metric = metrics_[m];
    const auto count = static_cast<double>(metric.per_user.size());
    double sum = 0;
    for (const double value : metric.per_user) sum += value;
    metric.mean = sum / count;
    metric.midrank_mean = midranks_[m] / count;
    double squares = 0;
    for (const double value : metric.per_user) {
      squares += (value - metric.mean) * (value - metric.mean);
    }
    metric.standard_error =
        count > 1 ? std::sqrt(squares / (count - 1) / count) : 0;
  }

  const Scorer& scorer_;
  const EvaluationOptions options_;
  const ProtocolRules rules_;
  PlaceFinder finder_;
  std::vector<Metric> metrics_;
  std::vector<double> midranks_;  // sums, by metric
  std::vector<Ranking> catalogs_;
  std::vector<Ranking> lists_;
};

}  // namespace

absl::StatusOr<Protocol> ParseProtocol(absl::string_view text) {
  for (const auto& [protocol, name] : kNames) {
    if (text == name) return protocol;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown protocol \"", text, "\": choose d2l, ncf, triplet or full"));
}

absl::string_view ProtocolName(Protocol protocol) {
  for (const auto& [known, name] : kNames) {
    if (known == protocol) return name;
  }
  NEUMF_CHECK(false);
}

absl::StatusOr<Evaluation> EvaluateProtocol(
    const Scorer& scorer, absl::Span<const HeldOutQuery> queries,
    const EvaluationOptions& options) {
  NEUMF_RETURN_IF_ERROR(CheckQueries(queries, options));
  Walk walk(scorer, options);
  const size_t users_at_once =
      UsersAtOnce(RulesOf(options).depth, scorer.shape().num_items);
  for (size_t first = 0; first < queries.size(); first += users_at_once) {
    NEUMF_RETURN_IF_ERROR(walk.Add(queries.subspan(first, users_at_once)));
  }
  return walk.Finish();
}

}  // namespace neumf
