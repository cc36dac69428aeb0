#pragma once

// Readers of interaction files. Each reads whole files into an EventLog.
//
// Lines may end in CRLF, empty lines are skipped, and a file may begin with a
// byte order mark. An id is the file's text, 1 to 256 bytes of UTF-8 without
// NUL. A line that cannot be used is a bad line: reading goes on to count them
// all, and fails with INVALID_ARGUMENT, naming the first few by file and line,
// when there are more than `max_bad_lines`. An event of a user and item that
// came before is dropped and counted, one of a data set's test part too that is
// in its train part. A data set without a train event, or with a test part
// without an event, is INVALID_ARGUMENT. `*report` is filled also when bad lines
// make it fail.
//
// Users and items of a test part have rows like those of a train part. In the
// formats other than CSV all ids are numbers.

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

// MovieLens 100k: `<directory>/u.data`, user TAB item TAB rating TAB seconds.
absl::StatusOr<EventLog> ReadMovieLens100k(FileSystem& files,
                                           absl::string_view directory,
                                           const ReadOptions& options,
                                           ReadReport* report);

// MovieLens 100k as its authors divide it: `<directory>/ua.base` to train on
// and `<directory>/ua.test`, both like u.data.
absl::StatusOr<EventLog> ReadMovieLens100kUa(FileSystem& files,
                                             absl::string_view directory,
                                             const ReadOptions& options,
                                             ReadReport* report);

// MovieLens 1M: `<directory>/ratings.dat`, user::item::rating::seconds.
absl::StatusOr<EventLog> ReadMovieLens1M(FileSystem& files,
                                         absl::string_view directory,
                                         const ReadOptions& options,
                                         ReadReport* report);

// MovieLens latest, 20M and later: `<directory>/ratings.csv` with the columns
// userId, movieId, rating and timestamp. Ids may be any text.
absl::StatusOr<EventLog> ReadMovieLensLatest(FileSystem& files,
                                             absl::string_view directory,
                                             const ReadOptions& options,
                                             ReadReport* report);

// The files of the paper "Neural Collaborative Filtering", one of each in
// `directory`:
//  - *.train.rating: user TAB item TAB rating TAB time, where the time may be
//    the place in the user's order.
//  - *.test.rating: the same of test events.
//  - *.test.negative: in line k the items to rank the event of line k of
//    *.test.rating among: (user,item) TAB item TAB item ...
// A line of negatives that begins with another pair is a bad line, and so is a
// line for which the other file has none.
absl::StatusOr<EventLog> ReadNcf(FileSystem& files, absl::string_view directory,
                                 const ReadOptions& options,
                                 ReadReport* report);

// The files of LightGCN: `<directory>/train.txt` and `<directory>/test.txt`, a
// user and the user's items a line, with spaces between them: no ratings, no
// times. A line with a user alone makes the user known.
absl::StatusOr<EventLog> ReadLightGcn(FileSystem& files,
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
