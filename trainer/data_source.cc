#include "trainer/data_source.h"

#include <cstdio>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "data/readers.h"

namespace neumf {
namespace {

// What the triplet protocol takes for a positive.
constexpr float kTripletMinRating = 4;

// A format that is a directory of files with fixed names.
struct Format {
  const char* name;
  const char* files;
  absl::StatusOr<EventLog> (*read)(FileSystem&, absl::string_view,
                                   const ReadOptions&, ReadReport*);
};

constexpr Format kFormats[] = {
    {"ml-100k", "u.data", ReadMovieLens100k},
    {"ml-100k-ua", "ua.base and ua.test", ReadMovieLens100kUa},
    {"ml-1m", "ratings.dat", ReadMovieLens1M},
    {"ml-latest", "ratings.csv", ReadMovieLensLatest},
    {"ncf", "*.train.rating, *.test.rating and *.test.negative", ReadNcf},
    {"lightgcn", "train.txt and test.txt", ReadLightGcn},
};

const Format* FindFormat(absl::string_view name) {
  for (const Format& format : kFormats) {
    if (name == format.name) return &format;
  }
  return nullptr;
}

std::string FormatNames() {
  std::string names;
  for (const Format& format : kFormats) {
    absl::StrAppend(&names, format.name, ", ");
  }
  return names + "csv";
}

// A file is easily given where its directory is meant.
absl::Status CheckDirectory(FileSystem& files, absl::string_view path,
                            const Format& format) {
  const absl::StatusOr<FileInfo> info = files.Stat(path);
  if (!info.ok() || !info->is_regular) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--data ", path, " is a file: --format ", format.name,
      " wants a directory with ", format.files, ", --format csv takes a file"));
}

absl::StatusOr<EventLog> Read(FileSystem& files, const DataSource& source,
                              ReadReport* report) {
  ReadOptions options;
  options.max_bad_lines = source.max_bad_lines;
  if (const Format* const format = FindFormat(source.format)) {
    NEUMF_RETURN_IF_ERROR(CheckDirectory(files, source.path, *format));
    return format->read(files, source.path, options, report);
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
  if (FindFormat(source.format) == nullptr && source.format != "csv") {
    return absl::InvalidArgumentError(
        absl::StrCat("--format: this build knows ", FormatNames(), ", not '",
                     source.format, "'"));
  }
  ReadReport report;
  NEUMF_ASSIGN_OR_RETURN(EventLog log, Read(files, source, &report));
  absl::FPrintF(stderr, "read %d events of %d users and %d items",
                log.events.size(), log.num_users(), log.num_items());
  if (log.has_given_test) {
    absl::FPrintF(stderr, ", %d more to test on", log.given_test.size());
  }
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

absl::StatusOr<Protocol> ProtocolFor(absl::string_view protocol,
                                     absl::string_view format,
                                     absl::string_view split_kind) {
  if (!protocol.empty()) return ParseProtocol(protocol);
  if (format == "ncf") return Protocol::kNcf;
  if (format == "ml-100k-ua") return Protocol::kTriplet;
  const bool is_full = format == "lightgcn" || split_kind == "ratio";
  return is_full ? Protocol::kFull : Protocol::kD2l;
}

absl::StatusOr<HeldOut> ParseHeldOut(absl::string_view flag,
                                     absl::string_view text) {
  if (text == "test") return HeldOut::kTest;
  if (text == "validation") return HeldOut::kValidation;
  return absl::InvalidArgumentError(
      absl::StrCat(flag, " must be test or validation, not '", text, "'"));
}

absl::StatusOr<SplitOptions> SplitFor(Protocol protocol, absl::string_view kind,
                                      SplitOptions options) {
  options.kind =
      protocol == Protocol::kD2l ? SplitKind::kD2l : SplitKind::kGiven;
  if (!kind.empty()) {
    NEUMF_ASSIGN_OR_RETURN(options.kind, ParseSplitKind(kind));
  }
  if (protocol == Protocol::kTriplet && !options.min_rating) {
    options.min_rating = kTripletMinRating;
  }
  return options;
}

}  // namespace neumf
