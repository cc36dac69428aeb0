#include "base/logging.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/mutex.h"
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

// Leaves room for the count of lost lines and the end, and no half character.
void CutToFit(std::string* line) {
  constexpr size_t kMost = kMaxLogLineBytes - 32;
  if (line->size() <= kMost) return;
  line->resize(kMost);
  constexpr int kTopBits = 0xC0;
  constexpr int kContinuation = 0x80;
  while ((line->back() & kTopBits) == kContinuation) line->pop_back();
  if ((line->back() & kTopBits) == kTopBits) line->pop_back();
}

bool StderrHasRoom() {
  pollfd log = {STDERR_FILENO, POLLOUT, 0};
  return poll(&log, 1, /*timeout=*/0) != 0;
}

// One write() a line, so that lines of several threads never mix; a log that
// cannot be written is no reason to fail, or to wait.
void WriteToStderr(std::string line) {
  // Of one who looks for room and of one who takes it. Never destroyed: threads
  // may log until the very end of the process.
  static auto* const mutex = new Mutex;
  static uint64_t num_lost = 0;
  MutexLock lock(mutex);
  if (!StderrHasRoom()) {
    ++num_lost;
    return;
  }
  CutToFit(&line);
  if (num_lost > 0) absl::StrAppend(&line, " lost=", num_lost);
  num_lost = 0;
  line.push_back('\n');
  while (write(STDERR_FILENO, line.data(), line.size()) < 0 && errno == EINTR) {
  }
}

}  // namespace

LogEvent::LogEvent(absl::string_view event)
    : line_(absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(),
                             absl::UTCTimeZone())) {
  With("event", event);
}

LogEvent::~LogEvent() { WriteToStderr(std::move(line_)); }

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
