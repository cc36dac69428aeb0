#pragma once

// Which data a command works on, as its flags say it.

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/file_system.h"
#include "data/event_log.h"
#include "data/split.h"
#include "eval/protocols.h"

namespace neumf {

struct DataSource {
  std::string path;     // a directory; for csv a file will do
  std::string format;   // of readers.h: "ml-100k", "ncf", "csv", ...
  std::string columns;  // names of a CSV file's columns; empty: the defaults
  uint64_t max_bad_lines = 0;
};

// Reads it all, and says on stderr what was left out. INVALID_ARGUMENT names
// the formats that there are.
absl::StatusOr<EventLog> ReadEvents(FileSystem& files,
                                    const DataSource& source);

// The protocol that `protocol` names or, where that is empty, the one that goes
// with the data's format and the kind of split, which may be empty too.
absl::StatusOr<Protocol> ProtocolFor(absl::string_view protocol,
                                     absl::string_view format,
                                     absl::string_view split_kind);

// "test" or "validation"; INVALID_ARGUMENT names `flag` and the choices.
absl::StatusOr<HeldOut> ParseHeldOut(absl::string_view flag,
                                     absl::string_view text);

// `options` with what the flags leave to the protocol: the kind of split, named
// by `kind` or, where that is empty, the protocol's own (d2l's is d2l, the
// others take what the data set itself holds out), and the lowest rating of a
// positive, 4 for triplet.
absl::StatusOr<SplitOptions> SplitFor(Protocol protocol, absl::string_view kind,
                                      SplitOptions options);

}  // namespace neumf
