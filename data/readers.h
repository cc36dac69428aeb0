#pragma once

// Readers of interaction files. Each reads whole files into an EventLog.
//
// Lines may end in CRLF, empty lines are skipped, and a file may begin with a
// byte order mark. An id is the file's text, 1 to 256 bytes of UTF-8 without
// NUL. A line that cannot be used is a bad line: reading goes on to count them
// all, and fails with INVALID_ARGUMENT, naming the first few by file and line,
// when there are more than `max_bad_lines`. An event of a user and item that
// came before is dropped and counted. A data set without an event is
// INVALID_ARGUMENT. `*report` is filled also when bad lines make it fail.

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/file_system.h"
#include "data/event_log.h"

namespace neumf {

struct ReadOptions {
  // Bad lines to put up with; they are left out. Default: none.
  uint64_t max_bad_lines = 0;
};

// MovieLens 100k: `<directory>/u.data`, user TAB item TAB rating TAB seconds;
// all four are numbers.
absl::StatusOr<EventLog> ReadMovieLens100k(FileSystem& files,
                                           absl::string_view directory,
                                           const ReadOptions& options,
                                           ReadReport* report);

// Names of the columns in a CSV or TSV file with a header line. An empty name
// means that the file has no such column; user and item it must have.
struct CsvColumns {
  std::string user = "user";
  std::string item = "item";
  std::string rating;
  std::string time;
};

// "user=userId,item=movieId,time=timestamp,rating=rating". INVALID_ARGUMENT
// for a key that is unknown, repeated or without a name, or no user or item.
absl::StatusOr<CsvColumns> ParseCsvColumns(absl::string_view text);

// RFC 4180: fields may be quoted, with "" for a quote, and then hold separators
// and line ends. The separator is a tab when the header line has one, else a
// comma. `path` is a file, or a directory with exactly one *.csv or *.tsv file
// whose header has the columns.
absl::StatusOr<EventLog> ReadCsv(FileSystem& files, absl::string_view path,
                                 const CsvColumns& columns,
                                 const ReadOptions& options,
                                 ReadReport* report);

}  // namespace neumf
