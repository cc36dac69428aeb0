#pragma once

// Which folder may include what: the floors of docs/architecture.md.
//
//   floor 5   server  trainer  client  bench
//   floor 4   eval
//   floor 3   checkpoint  scoring
//   floor 2   model
//   floor 1   data  proto
//   floor 0   base
//
// An include stays in its folder or goes to a lower floor. Some third-party
// libraries, and what only runs on a GPU, belong to a few places only.

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace neumf {

// One `#include "target"` or `#include <target>`.
struct Include {
  std::string file;  // from the root of the repository: "server/admission.cc"
  int line = 0;      // from 1 on
  std::string target;
};

// The folders that have a floor.
std::vector<std::string> FoldersWithFloor();

// The includes of `text`, the content of `file`.
std::vector<Include> ParseIncludes(absl::string_view file,
                                   absl::string_view text);

// "file:line: file -> target: reason" for an include that breaks a rule.
std::optional<std::string> FindBreach(const Include& include);

}  // namespace neumf
