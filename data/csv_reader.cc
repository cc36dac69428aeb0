#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "data/csv_scanner.h"
#include "data/event_log_builder.h"
#include "data/readers.h"

namespace neumf {
namespace {

// Longer header lines are not looked at when a file is searched for.
constexpr size_t kMaxHeaderBytes = 1 << 16;

// A header in an error message shows no more columns.
constexpr size_t kMaxShownColumns = 20;

// Which field of a record is what.
struct ColumnPlaces {
  static constexpr size_t kNone = static_cast<size_t>(-1);

  size_t num_columns = 0;
  size_t user = kNone;
  size_t item = kNone;
  size_t rating = kNone;
  size_t time = kNone;
};

using Header = absl::Span<const absl::string_view>;

absl::StatusOr<size_t> FindColumn(Header header, absl::string_view name) {
  if (name.empty()) return ColumnPlaces::kNone;
  const auto found = absl::c_find(header, name);
  if (found != header.end() && absl::c_count(header, name) == 1) {
    return static_cast<size_t>(found - header.begin());
  }
  const auto quote = [](std::string* out, absl::string_view column) {
    absl::StrAppend(out, QuotedForMessage(column));
  };
  return absl::InvalidArgumentError(absl::StrCat(
      found == header.end() ? "no column " : "more than one column ",
      QuotedForMessage(name), "; the header has ",
      absl::StrJoin(header.subspan(0, kMaxShownColumns), ", ", quote),
      header.size() > kMaxShownColumns ? ", ..." : ""));
}

// Reads the header, which is the first record of `*scanner`.
absl::StatusOr<ColumnPlaces> ReadHeader(CsvScanner* scanner,
                                        const CsvColumns& columns) {
  if (!scanner->Next()) return absl::InvalidArgumentError("the file is empty");
  if (!scanner->problem().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the header has ", scanner->problem()));
  }
  const Header header = scanner->fields();
  ColumnPlaces places;
  places.num_columns = header.size();
  NEUMF_ASSIGN_OR_RETURN(places.user, FindColumn(header, columns.user));
  NEUMF_ASSIGN_OR_RETURN(places.item, FindColumn(header, columns.item));
  NEUMF_ASSIGN_OR_RETURN(places.rating, FindColumn(header, columns.rating));
  NEUMF_ASSIGN_OR_RETURN(places.time, FindColumn(header, columns.time));
  return places;
}

// OK when the file begins with a header that has the columns.
absl::Status CheckHeader(FileSystem& files, absl::string_view path,
                         const CsvColumns& columns) {
  NEUMF_ASSIGN_OR_RETURN(const auto file, files.OpenForRead(path));
  std::string start(kMaxHeaderBytes, '\0');
  NEUMF_ASSIGN_OR_RETURN(const size_t size,
                         file->ReadAt(0, absl::MakeSpan(start)));
  start.resize(size);
  CsvScanner scanner(start);
  return ReadHeader(&scanner, columns).status();
}

// The one CSV or TSV file in `directory` whose header has the columns.
absl::StatusOr<std::string> FindInDirectory(FileSystem& files,
                                            absl::string_view directory,
                                            const CsvColumns& columns) {
  NEUMF_ASSIGN_OR_RETURN(std::vector<std::string> names,
                         files.ListDirectory(directory));
  absl::c_sort(names);
  std::vector<std::string> fitting;
  std::vector<std::string> others;
  for (const std::string& name : names) {
    if (!absl::EndsWith(name, ".csv") && !absl::EndsWith(name, ".tsv")) {
      continue;
    }
    const absl::Status status =
        CheckHeader(files, JoinPath(directory, name), columns);
    if (status.ok()) {
      fitting.push_back(name);
    } else {
      others.push_back(absl::StrCat(name, ": ", status.message()));
    }
  }
  if (fitting.size() == 1) return JoinPath(directory, fitting[0]);
  if (fitting.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(directory, ": several files have the columns, name one: ",
                     absl::StrJoin(fitting, ", ")));
  }
  if (others.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(directory, ": no *.csv or *.tsv file in this directory"));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      directory,
      ": no file here has the columns: ", absl::StrJoin(others, "; ")));
}

absl::StatusOr<std::string> FindFile(FileSystem& files, absl::string_view path,
                                     const CsvColumns& columns) {
  NEUMF_ASSIGN_OR_RETURN(const FileInfo info, files.Stat(path));
  if (info.is_regular) return std::string(path);
  return FindInDirectory(files, path, columns);
}

void AddRecord(const CsvScanner& scanner, const ColumnPlaces& places,
               EventLogBuilder* builder) {
  if (!scanner.problem().empty()) {
    return builder->AddBadLine(scanner.line_number(), scanner.problem());
  }
  const absl::Span<const absl::string_view> fields = scanner.fields();
  if (fields.size() != places.num_columns) {
    return builder->AddBadLine(
        scanner.line_number(),
        absl::StrCat(fields.size(), " columns where the header has ",
                     places.num_columns));
  }
  EventText event;
  event.user = fields[places.user];
  event.item = fields[places.item];
  if (places.rating != ColumnPlaces::kNone)
    event.rating = fields[places.rating];
  if (places.time != ColumnPlaces::kNone) event.time = fields[places.time];
  builder->Add(scanner.line_number(), event);
}

std::string* ColumnOf(absl::string_view key, CsvColumns* columns) {
  if (key == "user") return &columns->user;
  if (key == "item") return &columns->item;
  if (key == "rating") return &columns->rating;
  if (key == "time") return &columns->time;
  return nullptr;
}

absl::Status ColumnsError(absl::string_view text, absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat(
      "columns ", QuotedForMessage(text), ": ", reason,
      "; write user=NAME,item=NAME and, if there are any, rating=NAME and "
      "time=NAME"));
}

}  // namespace

absl::StatusOr<CsvColumns> ParseCsvColumns(absl::string_view text) {
  CsvColumns columns;
  columns.user.clear();
  columns.item.clear();
  for (absl::string_view part : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> key_and_name =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    const absl::string_view key = key_and_name.first;
    std::string* const name = ColumnOf(key, &columns);
    if (name == nullptr) {
      return ColumnsError(
          text, absl::StrCat(QuotedForMessage(key), " is not a known key"));
    }
    if (!name->empty()) {
      return ColumnsError(text, absl::StrCat(key, " is given twice"));
    }
    if (key_and_name.second.empty()) {
      return ColumnsError(text, absl::StrCat(key, " has no column name"));
    }
    *name = std::string(key_and_name.second);
  }
  if (columns.user.empty()) return ColumnsError(text, "user is missing");
  if (columns.item.empty()) return ColumnsError(text, "item is missing");
  return columns;
}

absl::StatusOr<EventLog> ReadCsv(FileSystem& files, absl::string_view path,
                                 const CsvColumns& columns,
                                 const ReadOptions& options,
                                 ReadReport* report) {
  NEUMF_ASSIGN_OR_RETURN(const std::string file,
                         FindFile(files, path, columns));
  NEUMF_ASSIGN_OR_RETURN(const std::string content,
                         ReadWholeFile(files, file, kMaxDataFileBytes));
  CsvScanner scanner(content);
  const absl::StatusOr<ColumnPlaces> places = ReadHeader(&scanner, columns);
  if (!places.ok()) return Annotate(places.status(), file);
  EventLogBuilder builder(file);
  while (scanner.Next()) AddRecord(scanner, *places, &builder);
  NEUMF_ASSIGN_OR_RETURN(EventLog log,
                         std::move(builder).Finish(options, report));
  log.has_times = places->time != ColumnPlaces::kNone;
  return log;
}

}  // namespace neumf
