#include "base/logging.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/utf8.h"

namespace neumf {
namespace {

bool IsPlain(char c) {
  return absl::ascii_isgraph(static_cast<unsigned char>(c)) && c != '"' &&
         c != '=' && c != '\\';
}

// Quoted unless it is one plain word. Bytes that are no UTF-8 are escaped too:
// whoever collects the log expects text.
std::string Encoded(absl::string_view value) {
  if (!value.empty() && std::all_of(value.begin(), value.end(), IsPlain)) {
    return std::string(value);
  }
  return absl::StrCat(
      "\"",
      IsValidUtf8(value) ? absl::Utf8SafeCEscape(value) : absl::CEscape(value),
      "\"");
}

// One write() a line, so that lines of several threads never mix; a log that
// cannot be written is no reason to fail.
void WriteToStderr(absl::string_view line) {
  while (write(STDERR_FILENO, line.data(), line.size()) < 0 && errno == EINTR) {
  }
}

}  // namespace

LogEvent::LogEvent(absl::string_view event)
    : line_(absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(),
                             absl::UTCTimeZone())) {
  With("event", event);
}

LogEvent::~LogEvent() {
  line_.push_back('\n');
  WriteToStderr(line_);
}

LogEvent& LogEvent::With(absl::string_view key, absl::string_view value) {
  absl::StrAppend(&line_, " ", key, "=", Encoded(value));
  return *this;
}

void CheckFailed(const char* file, int line, const char* condition) {
  LogEvent("check_failed")
      .With("at", absl::StrCat(file, ":", line))
      .With("condition", condition);
  std::abort();
}

}  // namespace neumf
