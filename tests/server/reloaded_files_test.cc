#include "server/reloaded_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/server/metric_reader.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using ::testing::_;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Texts = std::vector<std::string>;

class ReloadedFilesTest : public ::testing::Test {
 protected:
  ReloadedFilesTest()
      : files_(MakePosixFileSystem()),
        first_(JoinPath(directory_.path(), "first")),
        second_(JoinPath(directory_.path(), "second")),
        reloaded_(ConfigFile::kTls, {first_, second_, ""}, files_.get(),
                  &metrics_, [this](const Texts& texts) {
                    if (texts[0] != texts[1]) {
                      return absl::InvalidArgumentError("they differ");
                    }
                    used_.push_back(texts[0]);
                    return absl::OkStatus();
                  }) {}

  void Write(const std::string& path, absl::string_view text) {
    ASSERT_TRUE(WriteFileAtomically(*files_, path, text).ok());
  }
  double Metric(const std::string& name) const {
    return ReadMetric(metrics_, name, {{"file", "tls"}});
  }
  void ExpectCounts(int reloads, int failures, int in_force) const {
    EXPECT_EQ(Metric("neumf_config_reloads_total"), reloads);
    EXPECT_EQ(Metric("neumf_config_reload_failures_total"), failures);
    EXPECT_EQ(Metric("neumf_config_last_reload_successful"), in_force);
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_;
  const std::string first_;
  const std::string second_;
  ServerMetrics metrics_;
  Texts used_;
  ReloadedFiles reloaded_;
};

TEST_F(ReloadedFilesTest, UsesThemTogetherAndOnlyWhenTheyChange) {
  Write(first_, "a");
  Write(second_, "a");
  ASSERT_THAT(reloaded_.Load(), IsOk());
  reloaded_.Poll();
  Write(first_, "a");
  reloaded_.Poll();
  EXPECT_THAT(used_, ElementsAre("a"));
  ExpectCounts(0, 0, 1);
}

TEST_F(ReloadedFilesTest, ReportsWhyTheFirstOnesCannotBeUsed) {
  EXPECT_THAT(reloaded_.Load(), StatusIs(absl::StatusCode::kNotFound, _));
  Write(first_, "a");
  Write(second_, "b");
  EXPECT_THAT(reloaded_.Load(),
              StatusIs(absl::StatusCode::kInvalidArgument, "they differ"));
  EXPECT_THAT(used_, IsEmpty());
}

TEST_F(ReloadedFilesTest, WaitsForTheSecondHalfOfAChange) {
  Write(first_, "a");
  Write(second_, "a");
  ASSERT_THAT(reloaded_.Load(), IsOk());
  Write(first_, "b");
  reloaded_.Poll();
  ExpectCounts(0, 1, 0);
  Write(second_, "b");
  reloaded_.Poll();
  EXPECT_THAT(used_, ElementsAre("a", "b"));
  ExpectCounts(1, 1, 1);
}

TEST_F(ReloadedFilesTest, CountsAFailureOnceAndRecoversWithTheOldContent) {
  Write(first_, "a");
  Write(second_, "a");
  ASSERT_THAT(reloaded_.Load(), IsOk());
  ASSERT_THAT(files_->Remove(second_), IsOk());
  reloaded_.Poll();
  reloaded_.Poll();
  ExpectCounts(0, 1, 0);
  Write(second_, "a");
  reloaded_.Poll();
  ExpectCounts(1, 1, 1);
}

TEST_F(ReloadedFilesTest, NoticesAChangeThatKeepsTheSize) {
  Write(first_, "a");
  Write(second_, "a");
  ASSERT_THAT(reloaded_.Load(), IsOk());
  Write(first_, "b");
  Write(second_, "b");
  reloaded_.Poll();
  EXPECT_THAT(used_, ElementsAre("a", "b"));
}

// Its file system counts the calls.
class LargeReloadedFileTest : public ::testing::Test {
 protected:
  LargeReloadedFileTest()
      : posix_(MakePosixFileSystem()),
        files_(posix_.get()),
        path_(JoinPath(directory_.path(), "large")),
        reloaded_(
            ConfigFile::kBlockedItems, {path_}, &files_, &metrics_,
            [this](const Texts& texts) {
              used_.push_back(texts[0]);
              return absl::OkStatus();
            },
            ReloadedFiles::kSmallBytes + 1) {}

  void Write(absl::string_view text) {
    ASSERT_TRUE(WriteFileAtomically(*posix_, path_, text).ok());
  }
  void Settle() {
    for (int i = 0; i <= ReloadedFiles::kUnsettledPolls; ++i) reloaded_.Poll();
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> posix_;
  FaultyFileSystem files_;
  const std::string path_;
  ServerMetrics metrics_;
  Texts used_;
  ReloadedFiles reloaded_;
};

TEST_F(LargeReloadedFileTest, MayBeLargerThanTheOthers) {
  Write(std::string(ReloadedFiles::kSmallBytes + 1, 'x'));
  ASSERT_THAT(reloaded_.Load(), IsOk());
  Write(std::string(ReloadedFiles::kSmallBytes + 2, 'x'));
  EXPECT_THAT(reloaded_.Load(),
              StatusIs(absl::StatusCode::kResourceExhausted, _));
}

TEST_F(LargeReloadedFileTest, IsReadWhenItIsReplacedHoweverLongItStood) {
  Write("a");
  ASSERT_THAT(reloaded_.Load(), IsOk());
  Settle();
  Write("b");
  reloaded_.Poll();
  EXPECT_THAT(used_, ElementsAre("a", "b"));
}

TEST_F(LargeReloadedFileTest, IsNotReadForNothing) {
  Write("a");
  ASSERT_THAT(reloaded_.Load(), IsOk());
  Settle();
  Settle();
  files_.StopFailing();
  reloaded_.Poll();
  EXPECT_EQ(files_.num_calls(), 1);  // a look
}

TEST_F(LargeReloadedFileTest, IsReadAgainWhenItCouldNotBe) {
  Write("a");
  ASSERT_THAT(reloaded_.Load(), IsOk());
  Settle();
  Write("b");
  files_.FailCall(2, absl::UnavailableError("a disk"));
  reloaded_.Poll();
  EXPECT_THAT(used_, ElementsAre("a"));
  reloaded_.Poll();
  EXPECT_THAT(used_, ElementsAre("a", "b"));
}

TEST_F(LargeReloadedFileTest, ComesBackAfterItWasGone) {
  Write("a");
  ASSERT_THAT(reloaded_.Load(), IsOk());
  Settle();
  ASSERT_THAT(posix_->Remove(path_), IsOk());
  Settle();
  EXPECT_THAT(used_, ElementsAre("a"));
  Write("a");
  reloaded_.Poll();
  EXPECT_THAT(used_, ElementsAre("a", "a"));
}

}  // namespace
}  // namespace neumf
