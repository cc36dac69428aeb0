#include "trainer/compare_command.h"

#include <cmath>
#include <map>
#include <numeric>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "data/csv_scanner.h"
#include "eval/bootstrap.h"

namespace neumf {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{4} << 30;

// What a file holds: users -> values by metric, in the header's order.
struct PerUserValues {
  std::vector<std::string> metrics;
  std::map<std::string, std::vector<double>> users;
};

absl::Status LineError(const CsvScanner& scanner, absl::string_view reason) {
  return absl::InvalidArgumentError(
      absl::StrCat("line ", scanner.line_number(), ": ", reason));
}

absl::Status ReadHeader(CsvScanner& scanner, PerUserValues* values) {
  if (!scanner.Next() || scanner.fields().size() < 2 ||
      scanner.fields()[0] != "user_id") {
    return absl::InvalidArgumentError(
        "no header user_id,METRIC,...: it should be a file that evaluate "
        "--per_user_out wrote");
  }
  for (const absl::string_view name : scanner.fields().subspan(1)) {
    values->metrics.emplace_back(name);
  }
  return absl::OkStatus();
}

absl::Status AddLine(const CsvScanner& scanner, PerUserValues* values) {
  if (!scanner.problem().empty()) return LineError(scanner, scanner.problem());
  const absl::Span<const absl::string_view> fields = scanner.fields();
  if (fields.size() != values->metrics.size() + 1) {
    return LineError(scanner, absl::StrCat(fields.size(), " fields instead of ",
                                           values->metrics.size() + 1));
  }
  std::vector<double> row(values->metrics.size());
  for (size_t m = 0; m < row.size(); ++m) {
    if (!absl::SimpleAtod(fields[m + 1], &row[m]) || !std::isfinite(row[m])) {
      return LineError(scanner,
                       absl::StrCat("\"", fields[m + 1], "\" is no number"));
    }
  }
  if (!values->users.emplace(fields[0], std::move(row)).second) {
    return LineError(scanner, absl::StrCat("user ", fields[0], " is repeated"));
  }
  return absl::OkStatus();
}

absl::StatusOr<PerUserValues> Parse(absl::string_view text) {
  PerUserValues values;
  CsvScanner scanner(text);
  NEUMF_RETURN_IF_ERROR(ReadHeader(scanner, &values));
  while (scanner.Next()) NEUMF_RETURN_IF_ERROR(AddLine(scanner, &values));
  return values;
}

absl::StatusOr<PerUserValues> Read(FileSystem& files, absl::string_view flag,
                                   const std::string& path) {
  if (path.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        flag, " is needed: a file that evaluate --per_user_out wrote"));
  }
  NEUMF_ASSIGN_OR_RETURN(const std::string text,
                         ReadWholeFile(files, path, kMaxFileBytes));
  absl::StatusOr<PerUserValues> values = Parse(text);
  if (!values.ok()) return Annotate(values.status(), path);
  return values;
}

absl::Status CheckSameUsers(const PerUserValues& a, const PerUserValues& b) {
  size_t num_common = 0;
  for (const auto& [user, values] : a.users) num_common += b.users.count(user);
  if (num_common == a.users.size() && num_common == b.users.size()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the files have ", a.users.size(), " and ", b.users.size(),
                   " users, of which they share ", num_common,
                   ": compare evaluations of the same data and split"));
}

// A metric's values by user, in the order of the ids.
std::vector<double> Column(const PerUserValues& values, size_t metric) {
  std::vector<double> column;
  column.reserve(values.users.size());
  for (const auto& [user, row] : values.users) column.push_back(row[metric]);
  return column;
}

double Mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) /
         static_cast<double>(values.size());
}

absl::StatusOr<nlohmann::json> CompareMetric(const std::vector<double>& a,
                                             const std::vector<double>& b,
                                             uint64_t seed) {
  BootstrapOptions options;
  options.seed = seed;
  NEUMF_ASSIGN_OR_RETURN(const PairedDifference difference,
                         PairedBootstrap(a, b, options));
  return nlohmann::json{{"a", Mean(a)},
                        {"b", Mean(b)},
                        {"difference", difference.mean},
                        {"low", difference.low},
                        {"high", difference.high},
                        {"p_value", difference.p_value}};
}

}  // namespace

absl::StatusOr<nlohmann::json> Compare(const CompareOptions& options,
                                       FileSystem& files) {
  NEUMF_ASSIGN_OR_RETURN(const PerUserValues a, Read(files, "--a", options.a));
  NEUMF_ASSIGN_OR_RETURN(const PerUserValues b, Read(files, "--b", options.b));
  NEUMF_RETURN_IF_ERROR(CheckSameUsers(a, b));
  nlohmann::json metrics = nlohmann::json::object();
  for (size_t m = 0; m < a.metrics.size(); ++m) {
    for (size_t n = 0; n < b.metrics.size(); ++n) {
      if (a.metrics[m] != b.metrics[n]) continue;
      NEUMF_ASSIGN_OR_RETURN(
          metrics[a.metrics[m]],
          CompareMetric(Column(a, m), Column(b, n), options.seed));
    }
  }
  if (metrics.empty()) {
    return absl::InvalidArgumentError(
        "the files have no metric in common: compare evaluations by the same "
        "protocol");
  }
  return nlohmann::json{{"users", a.users.size()},
                        {"resamples", BootstrapOptions().num_resamples},
                        {"seed", options.seed},
                        {"metrics", std::move(metrics)}};
}

}  // namespace neumf
