#pragma once

// A file that lines are appended to. Whoever rotates it renames it: the next
// line makes a new one. Belongs to one thread.

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/unique_fd.h"

namespace neumf {

class LogFile {
 public:
  // Opened with the first line. A file that is made is readable for its group.
  explicit LogFile(std::string path) : path_(std::move(path)) {}

  // Writes `line` and its end. The error says what the system said and names the
  // path; after it a part of the line may stand there, and the next line is
  // still a line of its own.
  absl::Status Append(absl::string_view line);

 private:
  // Makes sure that the file which is open is the one of that name.
  absl::Status Reopen();
  absl::Status Write(absl::string_view text);

  const std::string path_;
  UniqueFd file_;
  bool is_torn_ = false;  // the file ends within a line
};

}  // namespace neumf
