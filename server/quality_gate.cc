#include "server/quality_gate.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "eval/ranking_metrics.h"
#include "model/id_table.h"
#include "server/background_scoring.h"

namespace neumf {
namespace {

// A million pairs of ids of 32 bytes.
constexpr uint64_t kMaxFileBytes = 64 << 20;
constexpr uint32_t kMaxK = 1000;

// A user and the held-out items, in the rows of one version.
struct JudgedUser {
  uint32_t row = 0;
  std::vector<uint32_t> items;  // ascending
};
using JudgedUsers = std::vector<JudgedUser>;

// The same users and items, in the same order.
struct Judged {
  JudgedUsers next;
  JudgedUsers served;
};

bool IsId(absl::string_view text) {
  return !text.empty() && text.size() <= IdTable::kMaxIdBytes &&
         IsValidUtf8(text);
}

// The row of an item that `snapshot` could recommend to the user.
std::optional<uint32_t> FreeItem(const Snapshot& snapshot, uint32_t user,
                                 absl::string_view item_id) {
  const std::optional<uint32_t> row = snapshot.item_ids->Find(item_id);
  if (!row.has_value()) return std::nullopt;
  const absl::Span<const uint32_t> seen = snapshot.seen->row(user);
  const bool is_seen = std::binary_search(seen.begin(), seen.end(), *row);
  return is_seen ? std::nullopt : row;
}

Judged FindJudged(
    const std::map<std::string, std::vector<std::string>>& choices,
    const Snapshot& next, const Snapshot& served) {
  Judged judged;
  for (const auto& [user_id, items] : choices) {
    const std::optional<uint32_t> next_row = next.user_ids->Find(user_id);
    const std::optional<uint32_t> served_row = served.user_ids->Find(user_id);
    if (!next_row.has_value() || !served_row.has_value()) continue;
    JudgedUser in_next{*next_row, {}};
    JudgedUser in_served{*served_row, {}};
    for (const std::string& item : items) {
      const auto next_item = FreeItem(next, *next_row, item);
      const auto served_item = FreeItem(served, *served_row, item);
      if (!next_item.has_value() || !served_item.has_value()) continue;
      in_next.items.push_back(*next_item);
      in_served.items.push_back(*served_item);
    }
    if (in_next.items.empty()) continue;
    judged.next.push_back(std::move(in_next));
    judged.served.push_back(std::move(in_served));
  }
  return judged;
}

double Quality(const GateMetric& metric, const Ranking& ranking,
               const std::vector<uint32_t>& held_out) {
  std::vector<double> places;
  for (size_t place = 0; place < ranking.items.size(); ++place) {
    if (std::binary_search(held_out.begin(), held_out.end(),
                           ranking.items[place].row)) {
      places.push_back(static_cast<double>(place));
    }
  }
  return metric.kind == GateMetric::Kind::kHit
             ? (places.empty() ? 0 : 1)
             : NdcgAtK(places, held_out.size(), metric.k);
}

absl::StatusOr<double> MeanQuality(const GateMetric& metric,
                                   const Snapshot& snapshot, JudgedUsers users,
                                   const std::function<bool()>& cancelled) {
  std::vector<ResolvedQuery> queries(users.size());
  for (size_t i = 0; i < users.size(); ++i) {
    std::sort(users[i].items.begin(), users[i].items.end());
    queries[i].user_row = users[i].row;
    queries[i].seen_policy = v1::SEEN_POLICY_DROP;
    queries[i].k = metric.k;
  }
  double sum = 0;
  NEUMF_RETURN_IF_ERROR(
      ScoreInBackground(snapshot, queries, BackgroundPace::kQuarter, cancelled,
                        [&](size_t i, const Ranking& ranking) {
                          sum += Quality(metric, ranking, users[i].items);
                        }));
  return sum / static_cast<double>(users.size());
}

}  // namespace

absl::StatusOr<GateMetric> GateMetric::Parse(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('@', 1));
  GateMetric metric;
  if (parts.first == "hit") metric.kind = Kind::kHit;
  const bool is_kind = parts.first == "hit" || parts.first == "ndcg";
  if (!is_kind || !absl::SimpleAtoi(parts.second, &metric.k) || metric.k < 1 ||
      metric.k > kMaxK) {
    return absl::InvalidArgumentError(
        absl::StrCat("is neither hit@K nor ndcg@K with a K from 1 to ", kMaxK));
  }
  return metric;
}

std::string GateMetric::ToString() const {
  return absl::StrCat(kind == Kind::kHit ? "hit@" : "ndcg@", k);
}

bool AbslParseFlag(absl::string_view text, GateMetric* metric,
                   std::string* error) {
  const absl::StatusOr<GateMetric> parsed = GateMetric::Parse(text);
  if (parsed.ok()) {
    *metric = *parsed;
  } else {
    *error = std::string(parsed.status().message());
  }
  return parsed.ok();
}

std::string AbslUnparseFlag(const GateMetric& metric) {
  return metric.ToString();
}

QualityGate::QualityGate(Options options, FileSystem* files,
                         ServerMetrics* metrics)
    : options_(std::move(options)),
      file_(
          ConfigFile::kGate, {options_.file}, files, metrics,
          [this](const std::vector<std::string>& texts) {
            NEUMF_ASSIGN_OR_RETURN(choices_, Parse(texts[0]));
            return absl::OkStatus();
          },
          kMaxFileBytes) {}

absl::Status QualityGate::Load() {
  return options_.file.empty() ? absl::OkStatus() : file_.Load();
}

absl::StatusOr<QualityGate::Choices> QualityGate::Parse(
    absl::string_view text) {
  if (text.empty() || text.back() != '\n') {
    return absl::InvalidArgumentError(
        "the last line is not ended, as in a file that is cut off");
  }
  text.remove_suffix(1);
  Choices choices;
  size_t number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    const std::vector<absl::string_view> ids = absl::StrSplit(line, '\t');
    if (ids.size() != 2 || !IsId(ids[0]) || !IsId(ids[1])) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number,
                       " is not the id of a user, a tab and that of an "
                       "item"));
    }
    choices[std::string(ids[0])].emplace_back(ids[1]);
  }
  for (auto& [user, items] : choices) {
    std::sort(items.begin(), items.end());
    items.erase(std::unique(items.begin(), items.end()), items.end());
  }
  return choices;
}

absl::Status QualityGate::Check(const Snapshot& next, const Snapshot& served,
                                const std::function<bool()>& cancelled) {
  if (options_.file.empty()) return absl::OkStatus();
  file_.Poll();
  Judged judged = FindJudged(choices_, next, served);
  const size_t num_users = judged.next.size();
  LogEvent event("gate_checked");
  event.WithNumber("version", next.version)
      .WithNumber("served", served.version)
      .WithNumber("users", num_users);
  if (num_users < options_.min_users) {
    event.With("outcome", "too_few_users");
    return absl::OkStatus();
  }
  const GateMetric& metric = options_.metric;
  NEUMF_ASSIGN_OR_RETURN(
      const double value,
      MeanQuality(metric, next, std::move(judged.next), cancelled));
  NEUMF_ASSIGN_OR_RETURN(
      const double served_value,
      MeanQuality(metric, served, std::move(judged.served), cancelled));
  const bool passed = value >= options_.min_share * served_value;
  event.With("metric", metric.ToString())
      .WithNumber("value", value)
      .WithNumber("served_value", served_value)
      .With("outcome", passed ? "ok" : "worse");
  if (passed) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      metric.ToString(), " over ", num_users, " held-out users is ", value,
      "; the served version ", served.version, " has ", served_value,
      ", and a share of ", options_.min_share, " of that is asked for"));
}

}  // namespace neumf
