#include "base/logging.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/utf8.h"

namespace neumf {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

// What one event with `value` prints.
std::string Logged(absl::string_view value) {
  testing::internal::CaptureStderr();
  LogEvent("probe").With("text", value);
  return testing::internal::GetCapturedStderr();
}

TEST(LoggingTest, LeavesPlainWordsBare) {
  EXPECT_THAT(Logged("7.safetensors"),
              EndsWith(" event=probe text=7.safetensors\n"));
}

TEST(LoggingTest, QuotesWhatIsNoPlainWord) {
  EXPECT_THAT(Logged("two words"), EndsWith(" text=\"two words\"\n"));
  EXPECT_THAT(Logged("a=b"), EndsWith(" text=\"a=b\"\n"));
  EXPECT_THAT(Logged(""), EndsWith(" text=\"\"\n"));
}

TEST(LoggingTest, EscapesQuotesAndBackslashes) {
  EXPECT_THAT(Logged("say \"hi\""), EndsWith(" text=\"say \\\"hi\\\"\"\n"));
  EXPECT_THAT(Logged("a\\b"), EndsWith(" text=\"a\\\\b\"\n"));
}

TEST(LoggingTest, KeepsForgedLinesInsideTheirValue) {
  const std::string line = Logged("x\nevent=forged");
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_THAT(line, EndsWith(" text=\"x\\nevent=forged\"\n"));
}

TEST(LoggingTest, EscapesControlCharacters) {
  EXPECT_THAT(Logged(absl::string_view("a\0b", 3)), HasSubstr("a\\000b"));
  EXPECT_THAT(Logged("\x1B[31m"), Not(HasSubstr("\x1B")));
}

TEST(LoggingTest, KeepsUtf8AndEscapesOtherBytes) {
  EXPECT_THAT(Logged("caf\xC3\xA9"), EndsWith(" text=\"caf\xC3\xA9\"\n"));
  EXPECT_THAT(Logged("caf\xE9"), EndsWith(" text=\"caf\\351\"\n"));
}

TEST(LoggingTest, StartsWithTheTimeInUtc) {
  const absl::Time before = absl::Now();
  const std::string line = Logged("x");
  const std::string stamp = line.substr(0, line.find(' '));
  absl::Time time;
  std::string error;
  ASSERT_TRUE(absl::ParseTime(absl::RFC3339_full, stamp, &time, &error))
      << error;
  EXPECT_EQ(stamp.size(), std::string("2026-01-31T12:00:00.123Z").size());
  EXPECT_THAT(stamp, EndsWith("Z"));
  EXPECT_GE(time, before - absl::Milliseconds(1));
  EXPECT_LE(time, absl::Now());
}

TEST(LoggingTest, PrintsNumbersBesideTexts) {
  testing::internal::CaptureStderr();
  LogEvent("probe")
      .WithNumber("version", 7)
      .WithNumber("ratio", 0.5)
      .With("state", "SERVING");
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              EndsWith(" event=probe version=7 ratio=0.5 state=SERVING\n"));
}

TEST(LoggingTest, CutsLinesThatAPipeMayNotTake) {
  const std::string text = "\xC3\xA9";  // two bytes
  std::string value;
  while (value.size() < 2 * kMaxLogLineBytes) value += text;
  for (const char* more : {"", "x"}) {
    const std::string line = Logged(value + more);
    EXPECT_LE(line.size(), kMaxLogLineBytes);
    EXPECT_GT(line.size(), kMaxLogLineBytes / 2);
    EXPECT_TRUE(IsValidUtf8(line));
    EXPECT_EQ(line.find('\n'), line.size() - 1);
  }
}

// Stderr as a pipe of the test.
class PipedLog {
 public:
  PipedLog() : stderr_(dup(STDERR_FILENO)) {
    EXPECT_EQ(pipe2(ends_.data(), O_CLOEXEC), 0);
    fcntl(ends_[1], F_SETPIPE_SZ, 16384);
    dup2(ends_[1], STDERR_FILENO);
    close(ends_[1]);
  }
  ~PipedLog() {
    dup2(stderr_, STDERR_FILENO);
    close(stderr_);
    close(ends_[0]);
  }
  PipedLog(const PipedLog&) = delete;
  PipedLog& operator=(const PipedLog&) = delete;

  // The lines that lie in it. REQUIRES: there are some.
  std::vector<std::string> Lines() const {
    std::string text(1 << 20, 0);
    const ssize_t size = read(ends_[0], text.data(), text.size());
    EXPECT_GT(size, 0);
    text.resize(std::max<ssize_t>(size, 0));
    return absl::StrSplit(text, '\n', absl::SkipEmpty());
  }

 private:
  const int stderr_;
  std::array<int, 2> ends_{};
};

TEST(LoggingTest, AReaderThatStallsLosesLinesAndKeepsNobodyWaiting) {
  constexpr size_t kLines = 10'000;
  PipedLog log;
  for (size_t i = 0; i < kLines; ++i) LogEvent("probe").WithNumber("n", i);
  const size_t num_taken = log.Lines().size();
  ASSERT_LT(num_taken, kLines);
  LogEvent("last");
  LogEvent("very_last");
  const std::vector<std::string> lines = log.Lines();
  ASSERT_EQ(lines.size(), 2);
  EXPECT_THAT(lines[0],
              EndsWith(absl::StrCat(" event=last lost=", kLines - num_taken)));
  EXPECT_THAT(lines[1], EndsWith(" event=very_last"));
}

TEST(CheckDeathTest, NamesTheBrokenConditionAndDies) {
  EXPECT_DEATH(NEUMF_CHECK(1 + 1 == 3),
               "event=check_failed at=.*logging_test.cc:.*1 \\+ 1 == 3");
}

TEST(CheckTest, LetsTrueConditionsPass) { NEUMF_CHECK(1 + 1 == 2); }

}  // namespace
}  // namespace neumf
