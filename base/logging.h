#pragma once

// Structured logging: one line of key=value an event, on stderr.
//
//   LogEvent("checkpoint_refused").With("version", 7).With("reason", text);
//   // 2026-01-31T12:00:00.123Z event=checkpoint_refused version=7 reason="..."
//
// Values with spaces, quotes or control characters are quoted and escaped, so
// text from outside can never forge a line. The line is written by one write()
// when the LogEvent dies; any thread may log. A pipe or socket whose reader has
// stalled takes no more lines: they are lost, and the next that it takes says how
// many in lost=N. Nobody waits for it, unless others write to it, too.

#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace neumf {

// Longer lines are cut, as a pipe that has room takes no more for sure.
constexpr size_t kMaxLogLineBytes = 4096;

class LogEvent {
 public:
  explicit LogEvent(absl::string_view event);
  ~LogEvent();
  LogEvent(const LogEvent&) = delete;
  LogEvent& operator=(const LogEvent&) = delete;

  LogEvent& With(absl::string_view key, absl::string_view value);
  // For numbers; `With("loaded", true)` prints loaded=1.
  template <typename Number>
  LogEvent& WithNumber(absl::string_view key, Number value) {
    return With(key, absl::string_view(absl::StrCat(value)));
  }

 private:
  std::string line_;
};

// Writes `event=check_failed` with the place and `condition`, then aborts.
[[noreturn]] void CheckFailed(const char* file, int line,
                              const char* condition);

}  // namespace neumf

// For broken invariants of our own, never for what comes from outside. Stays on
// in release builds.
#define NEUMF_CHECK(condition)  \
  (static_cast<bool>(condition) \
       ? static_cast<void>(0)   \
       : ::neumf::CheckFailed(__FILE__, __LINE__, #condition))
