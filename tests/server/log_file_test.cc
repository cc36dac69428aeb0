#include "server/log_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <memory>
#include <string>

#include "base/file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using ::testing::HasSubstr;

class LogFileTest : public ::testing::Test {
 protected:
  LogFileTest()
      : files_(MakePosixFileSystem()),
        path_(JoinPath(directory_.path(), "log")),
        log_(path_) {}

  std::string Content(const std::string& path) const {
    auto text = ReadWholeFile(*files_, path, 1 << 20);
    EXPECT_TRUE(text.ok()) << text.status();
    return text.ok() ? *std::move(text) : std::string();
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_;
  const std::string path_;
  LogFile log_;
};

TEST_F(LogFileTest, AppendsLinesToWhatIsThere) {
  ASSERT_THAT(WriteFileAtomically(*files_, path_, "old\n"), IsOk());
  EXPECT_THAT(log_.Append("one"), IsOk());
  EXPECT_THAT(log_.Append("two"), IsOk());
  EXPECT_EQ(Content(path_), "old\none\ntwo\n");
}

TEST_F(LogFileTest, ARenamedFileIsMadeAnew) {
  ASSERT_THAT(log_.Append("one"), IsOk());
  ASSERT_THAT(files_->Rename(path_, path_ + ".1"), IsOk());
  ASSERT_THAT(log_.Append("two"), IsOk());
  EXPECT_EQ(Content(path_ + ".1"), "one\n");
  EXPECT_EQ(Content(path_), "two\n");
}

TEST_F(LogFileTest, SoIsOneThatWasRemoved) {
  ASSERT_THAT(log_.Append("one"), IsOk());
  ASSERT_THAT(files_->Remove(path_), IsOk());
  ASSERT_THAT(log_.Append("two"), IsOk());
  EXPECT_EQ(Content(path_), "two\n");
}

TEST_F(LogFileTest, WhatCannotBeOpenedIsTriedAgain) {
  const std::string folder = JoinPath(directory_.path(), "later");
  LogFile log(JoinPath(folder, "log"));
  const absl::Status failed = log.Append("one");
  EXPECT_TRUE(absl::IsNotFound(failed)) << failed;
  EXPECT_THAT(std::string(failed.message()), HasSubstr(folder));
  ASSERT_THAT(files_->CreateDirectories(folder), IsOk());
  EXPECT_THAT(log.Append("two"), IsOk());
  EXPECT_EQ(Content(JoinPath(folder, "log")), "two\n");
}

TEST_F(LogFileTest, AFullDiskIsAnError) {
  LogFile log("/dev/full");
  EXPECT_TRUE(absl::IsResourceExhausted(log.Append("one")));
}

// A limit of the size of files stands for a disk that fills up within a line.
TEST_F(LogFileTest, AfterALineThatWasCutTheNextIsWhole) {
  ASSERT_THAT(log_.Append("one"), IsOk());
  const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit small = {6, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status cut = log_.Append("a long line");
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  std::signal(SIGXFSZ, ignored);
  EXPECT_FALSE(cut.ok());
  EXPECT_THAT(log_.Append("two"), IsOk());
  EXPECT_EQ(Content(path_), "one\na \ntwo\n");
}

}  // namespace
}  // namespace neumf
