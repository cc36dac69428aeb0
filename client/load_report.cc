#include "client/load_report.h"

#include <array>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/text_table.h"

namespace neumf {
namespace {

struct NamedQuantile {
  double q;
  const char* name;
};

constexpr std::array<NamedQuantile, 4> kQuantiles = {
    {{0.5, "p50"}, {0.9, "p90"}, {0.99, "p99"}, {0.999, "p99.9"}}};

constexpr int kNumCodes = 17;

// The times of one row: all quantiles, then the longest.
struct Times {
  const char* name;
  int64_t count;
  std::vector<absl::Duration> values;  // empty without calls
};

Times TimesOf(const char* name, const LatencyDistribution& distribution) {
  Times times{name, distribution.count(), {}};
  if (times.count == 0) return times;
  for (const NamedQuantile& quantile : kQuantiles) {
    times.values.push_back(
        distribution.AtRank(RankOfQuantile(quantile.q, times.count)));
  }
  times.values.push_back(distribution.max());
  return times;
}

Times TimesOfAll(const LoadResult& result) {
  Times times{"all", result.num_calls(), {}};
  if (times.count == 0) return times;
  for (const NamedQuantile& quantile : kQuantiles) {
    times.values.push_back(result.Quantile(quantile.q));
  }
  const bool all_answered = result.answered().count() == times.count;
  times.values.push_back(all_answered ? result.answered().max()
                                      : absl::InfiniteDuration());
  return times;
}

std::vector<Times> AllTimes(const LoadResult& result) {
  return {TimesOfAll(result),
          TimesOf("answered", result.answered()),
          TimesOf("refused", result.refused()),
          TimesOf("over_quota", result.over_quota()),
          TimesOf("failed", result.failed()),
          TimesOf("lag", result.lag())};
}

std::string MillisText(absl::Duration time) {
  if (time == absl::InfiniteDuration()) return "never";
  return absl::StrFormat("%.3f", absl::ToDoubleMilliseconds(time));
}

std::string SecondsJson(absl::Duration time) {
  if (time == absl::InfiniteDuration()) return "null";
  return absl::StrFormat("%.9f", absl::ToDoubleSeconds(time));
}

std::string TimesJson(const Times& times) {
  std::vector<std::string> fields = {absl::StrCat("\"count\": ", times.count)};
  for (size_t i = 0; i < times.values.size(); ++i) {
    const char* const name = i < kQuantiles.size() ? kQuantiles[i].name : "max";
    fields.push_back(absl::StrFormat("\"%s_seconds\": %s", name,
                                     SecondsJson(times.values[i])));
  }
  return absl::StrCat("{", absl::StrJoin(fields, ", "), "}");
}

// "OK 990, UNAVAILABLE 10", or with quotes and colons as JSON wants them.
std::string CodeCounts(const LoadResult& result, const char* format) {
  const auto parsed = absl::ParsedFormat<'s', 'd'>::New(format);
  std::vector<std::string> counts;
  for (int number = 0; number < kNumCodes; ++number) {
    const auto code = static_cast<absl::StatusCode>(number);
    const int64_t count = result.num_calls(code);
    if (count == 0) continue;
    counts.push_back(
        absl::StrFormat(*parsed, absl::StatusCodeToString(code), count));
  }
  return absl::StrJoin(counts, ", ");
}

const char* VerdictName(RateVerdict verdict) {
  switch (verdict) {
    case RateVerdict::kKept:
      return "kept";
    case RateVerdict::kMissed:
      return "missed";
    case RateVerdict::kClientTooSlow:
      return "client_too_slow";
  }
  return "";
}

// Said of a run or a sweep with `count` such calls.
std::string QuotaWarning(int64_t count) {
  if (count == 0) return "";
  return absl::StrCat("calls beyond the caller's quota: ", count,
                      "; this measures the quota, not the server\n");
}

// Where the lag of the client is looked at.
constexpr double kLagQuantile = 0.99;

// Above it the thread that takes the answers may be what they wait for.
constexpr double kMaxReceiverLoad = 0.9;

}  // namespace

std::string LoadTable(const LoadResult& result) {
  using Align = TextTable::Align;
  std::vector<TextTable::Column> columns = {{"ms", Align::kLeft},
                                            {"calls", Align::kRight}};
  for (const NamedQuantile& quantile : kQuantiles) {
    columns.push_back({quantile.name, Align::kRight});
  }
  columns.push_back({"max", Align::kRight});
  TextTable table(columns);
  for (const Times& times : AllTimes(result)) {
    std::vector<std::string> cells = {times.name, absl::StrCat(times.count)};
    for (const absl::Duration time : times.values) {
      cells.push_back(MillisText(time));
    }
    cells.resize(columns.size(), "-");
    table.AddRow(std::move(cells));
  }
  std::string text = absl::StrCat(table.ToString(),
                                  "codes: ", CodeCounts(result, "%s %d"), "\n");
  absl::StrAppendFormat(
      &text, "offered %.1f calls/s for %s; goodput %.1f answers/s within %s\n",
      result.offered_rate(), absl::FormatDuration(result.duration()),
      result.goodput(), absl::FormatDuration(result.deadline()));
  if (result.failed_users() > 0) {
    absl::StrAppend(&text, "users of answered batches who got an error: ",
                    result.failed_users(), "\n");
  }
  absl::StrAppend(&text, QuotaWarning(result.over_quota().count()));
  return text;
}

std::string LoadJson(const LoadResult& result) {
  std::vector<std::string> fields = {
      absl::StrFormat("\"rate\": %.3f", result.offered_rate()),
      absl::StrFormat("\"duration_seconds\": %s",
                      SecondsJson(result.duration())),
      absl::StrFormat("\"deadline_seconds\": %s",
                      SecondsJson(result.deadline())),
      absl::StrFormat("\"goodput\": %.3f", result.goodput()),
      absl::StrFormat("\"receiver_load\": %.3f", result.receiver_load()),
      absl::StrCat("\"failed_users\": ", result.failed_users()),
      absl::StrCat("\"codes\": {", CodeCounts(result, "\"%s\": %d"), "}")};
  for (const Times& times : AllTimes(result)) {
    fields.push_back(absl::StrCat("\"", times.name, "\": ", TimesJson(times)));
  }
  return absl::StrCat("{", absl::StrJoin(fields, ", "), "}");
}

std::string SweepTable(absl::Span<const RateTrial> trials,
                       const RateSearchResult& found, absl::Duration goal) {
  using Align = TextTable::Align;
  TextTable table({{"calls/s", Align::kRight},
                   {"p50 ms", Align::kRight},
                   {"p99 ms", Align::kRight},
                   {"refused", Align::kRight},
                   {"over_quota", Align::kRight},
                   {"failed", Align::kRight},
                   {"lag p99 ms", Align::kRight},
                   {"goal", Align::kLeft}});
  int64_t over_quota = 0;
  for (const RateTrial& trial : trials) {
    const LoadResult& result = trial.result;
    over_quota += result.over_quota().count();
    const Times all = TimesOfAll(result);
    const Times lag = TimesOf("lag", result.lag());
    const auto cell = [](const Times& times, size_t quantile) {
      return times.count == 0 ? "-" : MillisText(times.values[quantile]);
    };
    table.AddRow({absl::StrFormat("%.1f", result.offered_rate()), cell(all, 0),
                  cell(all, 2), absl::StrCat(result.refused().count()),
                  absl::StrCat(result.over_quota().count()),
                  absl::StrCat(result.failed().count()), cell(lag, 2),
                  VerdictName(trial.verdict)});
  }
  return absl::StrCat(
      table.ToString(),
      absl::StrFormat("highest rate with p99 <= %s: %s%.1f calls/s\n",
                      absl::FormatDuration(goal),
                      found.limited_by_client ? "at least " : "", found.rate),
      QuotaWarning(over_quota));
}

std::string SweepJson(absl::Span<const RateTrial> trials,
                      const RateSearchResult& found, absl::Duration goal) {
  std::vector<std::string> objects;
  for (const RateTrial& trial : trials) {
    objects.push_back(absl::StrFormat(R"({"verdict": "%s", "run": %s})",
                                      VerdictName(trial.verdict),
                                      LoadJson(trial.result)));
  }
  return absl::StrFormat(
      "{\"highest_rate\": %.3f, \"limited_by_client\": %s, "
      "\"goal_seconds\": %s, \"trials\": [%s]}",
      found.rate, found.limited_by_client ? "true" : "false", SecondsJson(goal),
      absl::StrJoin(objects, ", "));
}

absl::Status CheckClient(const LoadResult& result, absl::Duration max_lag) {
  const LatencyDistribution& lag = result.lag();
  if (lag.count() == 0) {
    return absl::FailedPreconditionError(
        "no call was due: the duration is too short for the rate");
  }
  const absl::Duration p99 =
      lag.AtRank(RankOfQuantile(kLagQuantile, lag.count()));
  if (p99 > max_lag) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the client fell behind its schedule: p99 of the lag is ",
        absl::FormatDuration(p99), ", above ", absl::FormatDuration(max_lag)));
  }
  if (result.receiver_load() > kMaxReceiverLoad) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "the client had no time for the answers: its thread was busy for %.0f "
        "%% of the run",
        100 * result.receiver_load()));
  }
  return absl::OkStatus();
}

}  // namespace neumf
