#include "server/crash_guard.h"

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using testing::HasSubstr;

class CrashGuardTest : public testing::Test {
 protected:
  CrashGuardTest() { testing::internal::CaptureStderr(); }
  ~CrashGuardTest() override { testing::internal::GetCapturedStderr(); }

  std::string state() const { return directory_.Path("state"); }
  std::string path() const { return JoinPath(state(), "unfinished_loads"); }
  // What a process finds that starts now.
  CrashGuard Guard() { return CrashGuard(state(), &files_); }
  void Crash(const std::string& digest, int times) {
    for (int i = 0; i < times; ++i) EXPECT_TRUE(Guard().Begin(digest));
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> posix_ = MakePosixFileSystem();
  FaultyFileSystem files_{posix_.get()};
};

TEST_F(CrashGuardTest, WhatEndedTwoProcessesIsNotBegunAgain) {
  Crash("abc", 2);
  CrashGuard guard = Guard();
  EXPECT_FALSE(guard.Begin("abc"));
  EXPECT_FALSE(Guard().Begin("abc"));
  EXPECT_TRUE(guard.Begin("def"));
}

TEST_F(CrashGuardTest, WhatEndsIsNotHeldAgainstAnything) {
  Crash("abc", 1);
  CrashGuard guard = Guard();
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(guard.Begin("abc"));
    guard.End("abc");
  }
  Crash("abc", 2);
}

TEST_F(CrashGuardTest, ALoadThatBeginsTwiceInOneProcessCountsOnce) {
  CrashGuard guard = Guard();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(guard.Begin("abc"));
  Crash("abc", 1);
  EXPECT_FALSE(Guard().Begin("abc"));
}

TEST_F(CrashGuardTest, WhatIsAbandonedDoesNotCount) {
  Crash("abc", 1);
  for (int i = 0; i < 3; ++i) {
    CrashGuard guard = Guard();
    EXPECT_TRUE(guard.Begin("abc"));
    guard.Abandon();
    EXPECT_TRUE(guard.Begin("def"));  // and is not written down
  }
  Crash("def", 2);
  Crash("abc", 1);
  EXPECT_FALSE(Guard().Begin("abc"));
  Guard().Abandon();  // there is nothing
}

TEST_F(CrashGuardTest, WhatIsForgivenMayBeginAgain) {
  Crash("abc", 2);
  Crash("def", 2);
  Guard().Forgive("abc");
  EXPECT_TRUE(Guard().Begin("abc"));
  EXPECT_FALSE(Guard().Begin("def"));
}

TEST_F(CrashGuardTest, AnEndOfWhatNeverBeganForgivesNothing) {
  Crash("abc", 1);
  CrashGuard guard = Guard();
  guard.End("abc");  // it was refused for want of a signature
  EXPECT_TRUE(guard.Begin("def"));
  guard.End("abc");
  Crash("abc", 1);
  EXPECT_FALSE(Guard().Begin("abc"));
  guard.End("def");
  Crash("def", 2);
}

TEST_F(CrashGuardTest, RemembersTheNewestOfMany) {
  CrashGuard guard = Guard();
  for (int i = 0; i < 1000; ++i) guard.Begin(std::to_string(i));
  Crash("999", 1);
  EXPECT_FALSE(Guard().Begin("999"));
  Crash("0", 2);
}

TEST_F(CrashGuardTest, LinesThatMakeNoSenseAreLeftOut) {
  NEUMF_ASSERT_OK(files_.CreateDirectories(state()));
  NEUMF_ASSERT_OK(
      WriteFileAtomically(files_, path(), "\nabc\nabc -7\n x 2\ndef 2\nabc"));
  EXPECT_TRUE(Guard().Begin("abc"));
  EXPECT_FALSE(Guard().Begin("def"));
}

TEST_F(CrashGuardTest, WithoutADirectoryNothingIsWritten) {
  CrashGuard guard("", &files_);
  EXPECT_TRUE(guard.Begin("abc"));
  EXPECT_EQ(files_.num_calls(), 0);
}

TEST_F(CrashGuardTest, ADiskThatFailsAtAnyCallIsLoggedOnceAndStopsNothing) {
  CrashGuard first = Guard();
  files_.StopFailing();
  EXPECT_TRUE(first.Begin("abc"));
  const int num_calls = files_.num_calls();
  ASSERT_GT(num_calls, 3);
  for (int nth = 1; nth <= num_calls; ++nth) {
    CrashGuard guard = Guard();
    testing::internal::GetCapturedStderr();
    testing::internal::CaptureStderr();
    files_.FailFrom(nth, absl::ResourceExhaustedError("the disk is full"));
    EXPECT_TRUE(guard.Begin(std::to_string(nth)));
    guard.End(std::to_string(nth));
    const std::string log = testing::internal::GetCapturedStderr();
    testing::internal::CaptureStderr();
    EXPECT_THAT(log, HasSubstr("event=state_file_failed"));
    EXPECT_EQ(log.find("state_file_failed"), log.rfind("state_file_failed"));
    files_.StopFailing();
  }
}

}  // namespace
}  // namespace neumf
