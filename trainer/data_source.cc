#include "trainer/data_source.h"

#include <cstdio>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "data/readers.h"

namespace neumf {
namespace {

// The two formats are easily taken for each other.
absl::Status CheckDirectory(FileSystem& files, absl::string_view path) {
  const absl::StatusOr<FileInfo> info = files.Stat(path);
  if (!info.ok() || !info->is_regular) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--data ", path,
                   " is a file: --format ml-100k wants a directory with "
                   "u.data, --format csv takes a file"));
}

absl::StatusOr<EventLog> Read(FileSystem& files, const DataSource& source,
                              ReadReport* report) {
  ReadOptions options;
  options.max_bad_lines = source.max_bad_lines;
  if (source.format == "ml-100k") {
    NEUMF_RETURN_IF_ERROR(CheckDirectory(files, source.path));
    return ReadMovieLens100k(files, source.path, options, report);
  }
  CsvColumns columns;
  if (!source.columns.empty()) {
    NEUMF_ASSIGN_OR_RETURN(columns, ParseCsvColumns(source.columns));
  }
  return ReadCsv(files, source.path, columns, options, report);
}

}  // namespace

absl::StatusOr<EventLog> ReadEvents(FileSystem& files,
                                    const DataSource& source) {
  if (source.path.empty()) {
    return absl::InvalidArgumentError("--data is needed: where the events are");
  }
  if (source.format != "ml-100k" && source.format != "csv") {
    return absl::InvalidArgumentError(absl::StrCat(
        "--format: this build knows ml-100k, csv, not '", source.format, "'"));
  }
  ReadReport report;
  NEUMF_ASSIGN_OR_RETURN(EventLog log, Read(files, source, &report));
  absl::FPrintF(stderr, "read %d events of %d users and %d items",
                log.events.size(), log.num_users(), log.num_items());
  if (report.num_duplicates > 0) {
    absl::FPrintF(stderr, "; %d repeated events left out",
                  report.num_duplicates);
  }
  if (report.num_bad_lines > 0) {
    absl::FPrintF(stderr, "; %d bad lines left out", report.num_bad_lines);
  }
  absl::FPrintF(stderr, "\n");
  for (const std::string& line : report.bad_lines) {
    absl::FPrintF(stderr, "  %s\n", line);
  }
  return log;
}

absl::StatusOr<HeldOut> ParseHeldOut(absl::string_view flag,
                                     absl::string_view text) {
  if (text == "test") return HeldOut::kTest;
  if (text == "validation") return HeldOut::kValidation;
  return absl::InvalidArgumentError(
      absl::StrCat(flag, " must be test or validation, not '", text, "'"));
}

}  // namespace neumf
