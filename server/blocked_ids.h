#pragma once

// Ids that must not be in answers, from a file with one a line:
//
//   # asked for by their publisher
//   movie-42
//   "#1 hit"
//   "an id with\na line break"
//
// A line is the id as it stands. One in double quotes has the escapes of C, for
// ids that begin with '#' or '"', begin or end with a space, or hold characters
// that a line cannot. '#' begins a comment at the start of a line only, and
// empty lines are skipped.
//
// A takedown that misses its id by a space would be silently none, and so would
// the end of a file that somebody is still writing. Hence what can be told from
// what was meant is refused: spaces at the ends, control characters (carriage
// returns among them), a byte-order mark, bytes that are not UTF-8, ids that no model can have, a
// last line that is not ended, and a file of no line at all: "# none" is one
// that blocks nothing.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace neumf {

// Ascending, each once. INVALID_ARGUMENT gives the number of the line and what
// is wrong with it, and none of its text.
absl::StatusOr<std::vector<std::string>> ParseBlockedIds(
    absl::string_view text);

}  // namespace neumf
