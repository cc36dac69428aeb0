#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "data/event_log_builder.h"
#include "data/readers.h"
#include "data/text_lines.h"

namespace neumf {
namespace {

constexpr size_t kNumColumns = 4;

// What stands between the columns, and what to call it.
struct Separator {
  absl::string_view text;
  absl::string_view name;
};
constexpr Separator kTab = {"\t", "tabs"};
constexpr Separator kTwoColons = {"::", "::"};

void AddLine(uint64_t line_number, absl::Span<const absl::string_view> fields,
             const Separator& separator, EventLogBuilder* builder) {
  if (fields.size() != kNumColumns) {
    return builder->AddBadLine(
        line_number, absl::StrCat(fields.size(), " columns between ",
                                  separator.name, " instead of four"));
  }
  for (absl::string_view id : {fields[0], fields[1]}) {
    if (!IsNumber(id)) {
      return builder->AddBadLine(
          line_number,
          absl::StrCat("id ", QuotedForMessage(id), " is not a number"));
    }
  }
  EventText event;
  event.user = fields[0];
  event.item = fields[1];
  event.rating = fields[2];
  event.time = fields[3];
  builder->Add(line_number, event);
}

absl::Status AddFile(FileSystem& files, absl::string_view path,
                     const Separator& separator, EventLogBuilder* builder) {
  NEUMF_ASSIGN_OR_RETURN(const std::string content,
                         ReadWholeFile(files, path, kMaxDataFileBytes));
  std::vector<absl::string_view> fields;
  LineScanner scanner(content);
  while (scanner.Next()) {
    fields = absl::StrSplit(scanner.line(), separator.text);
    AddLine(scanner.line_number(), fields, separator, builder);
  }
  return absl::OkStatus();
}

absl::StatusOr<EventLog> FinishWithTimes(EventLogBuilder builder,
                                         const ReadOptions& options,
                                         ReadReport* report) {
  NEUMF_ASSIGN_OR_RETURN(EventLog log,
                         std::move(builder).Finish(options, report));
  log.has_times = true;
  return log;
}

absl::StatusOr<EventLog> ReadOneFile(FileSystem& files, absl::string_view path,
                                     const Separator& separator,
                                     const ReadOptions& options,
                                     ReadReport* report) {
  EventLogBuilder builder(path);
  NEUMF_RETURN_IF_ERROR(AddFile(files, path, separator, &builder));
  return FinishWithTimes(std::move(builder), options, report);
}

}  // namespace

absl::StatusOr<EventLog> ReadMovieLens100k(FileSystem& files,
                                           absl::string_view directory,
                                           const ReadOptions& options,
                                           ReadReport* report) {
  return ReadOneFile(files, JoinPath(directory, "u.data"), kTab, options,
                     report);
}

absl::StatusOr<EventLog> ReadMovieLens100kUa(FileSystem& files,
                                             absl::string_view directory,
                                             const ReadOptions& options,
                                             ReadReport* report) {
  EventLogBuilder builder(directory);
  const std::string base = JoinPath(directory, "ua.base");
  builder.BeginFile(base, EventLogBuilder::Part::kTrain);
  NEUMF_RETURN_IF_ERROR(AddFile(files, base, kTab, &builder));
  const std::string test = JoinPath(directory, "ua.test");
  builder.BeginFile(test, EventLogBuilder::Part::kGivenTest);
  NEUMF_RETURN_IF_ERROR(AddFile(files, test, kTab, &builder));
  return FinishWithTimes(std::move(builder), options, report);
}

absl::StatusOr<EventLog> ReadMovieLens1M(FileSystem& files,
                                         absl::string_view directory,
                                         const ReadOptions& options,
                                         ReadReport* report) {
  return ReadOneFile(files, JoinPath(directory, "ratings.dat"), kTwoColons,
                     options, report);
}

absl::StatusOr<EventLog> ReadMovieLensLatest(FileSystem& files,
                                             absl::string_view directory,
                                             const ReadOptions& options,
                                             ReadReport* report) {
  CsvColumns columns;
  columns.user = "userId";
  columns.item = "movieId";
  columns.rating = "rating";
  columns.time = "timestamp";
  return ReadCsv(files, JoinPath(directory, "ratings.csv"), columns, options,
                 report);
}

}  // namespace neumf
