#pragma once

// The words and flags that a program was started with. Abseil's own parser
// leaves the process, with several lines, at the first flag that it does not
// know; this one answers with a sentence, and says which flags were given.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace neumf {

struct CommandLine {
  std::vector<std::string> words;  // what is no flag, in order
  std::vector<std::string> given;  // names of flags, in order
};

// Sets Abseil's flags from `arguments`, which do not begin with the program:
// --name=value, --name value, and for switches --name or --noname. One dash is
// as good as two; of a flag that is repeated the last value counts; behind "--"
// everything is a word. INVALID_ARGUMENT for the first flag that there is not,
// that lacks its value, or that does not take it; the flags before it are set.
absl::StatusOr<CommandLine> ParseCommandLine(absl::Span<char* const> arguments);

}  // namespace neumf
