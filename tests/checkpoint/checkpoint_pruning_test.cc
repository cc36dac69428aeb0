#include "checkpoint/checkpoint_pruning.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "checkpoint/checkpoint_directory.h"
#include "checkpoint/serving_policy.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class CheckpointPruningTest : public testing::Test {
 protected:
  void Make(const std::string& name, absl::string_view content = "") {
    NEUMF_ASSERT_OK(
        WriteFileAtomically(*files_, directory_.Path(name), content));
  }
  void MakeVersions(const std::vector<uint64_t>& versions) {
    for (const uint64_t version : versions) Make(VersionFileName(version));
  }
  void Age(const std::string& name, int64_t seconds) {
    struct stat status;
    const std::string path = directory_.Path(name);
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    const timespec times[] = {{0, UTIME_OMIT},
                              {status.st_mtim.tv_sec - seconds, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }
  absl::StatusOr<std::vector<uint64_t>> Prune(size_t keep) {
    return PruneCheckpoints(*files_, directory_.path(), keep);
  }
  std::vector<uint64_t> Versions() const {
    const auto checkpoints = ListCheckpoints(*files_, directory_.path());
    NEUMF_EXPECT_OK(checkpoints);
    std::vector<uint64_t> versions;
    if (!checkpoints.ok()) return versions;
    for (const CheckpointFile& file : *checkpoints) {
      versions.push_back(file.version);
    }
    return versions;
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
};

TEST_F(CheckpointPruningTest, KeepsTheNewestByNumber) {
  MakeVersions({9, 10, 1, 200, 30});
  EXPECT_THAT(Prune(2), IsOkAndHolds(ElementsAre(1, 9, 10)));
  EXPECT_THAT(Versions(), ElementsAre(30, 200));
  EXPECT_THAT(Prune(2), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(Prune(5), IsOkAndHolds(IsEmpty()));
}

TEST_F(CheckpointPruningTest, KeepsTheVersionThatIsToBeServed) {
  MakeVersions({1, 2, 3, 4, 5});
  Make(kServingPolicyFile, R"({"serve": 2})");
  EXPECT_THAT(Prune(2), IsOkAndHolds(ElementsAre(1, 3)));
  EXPECT_THAT(Versions(), ElementsAre(2, 4, 5));
}

// After a rollback from 4 and 5 what is served is 3.
TEST_F(CheckpointPruningTest, DoesNotCountRefusedVersionsAsKept) {
  MakeVersions({1, 2, 3, 4, 5});
  Make(kServingPolicyFile, R"({"serve": "largest", "refuse": [4, 5]})");
  EXPECT_THAT(Prune(1), IsOkAndHolds(ElementsAre(1, 2)));
  EXPECT_THAT(Versions(), ElementsAre(3, 4, 5));
}

TEST_F(CheckpointPruningTest, RemovesNothingWhenItCannotTellWhatIsServed) {
  MakeVersions({1, 2, 3});
  for (const char* policy : {"", "{", R"({"serve": null})"}) {
    Make(kServingPolicyFile, policy);
    EXPECT_THAT(Prune(1), StatusIs(absl::StatusCode::kDataLoss)) << policy;
  }
  FaultyFileSystem faulty(files_.get());
  faulty.FailCall(1, absl::UnavailableError("disk gone"));
  EXPECT_THAT(PruneCheckpoints(faulty, directory_.path(), 1),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(Versions(), ElementsAre(1, 2, 3));
}

TEST_F(CheckpointPruningTest, LetsEverythingElseBe) {
  MakeVersions({1, 2});
  const std::vector<std::string> others = {
      "0.safetensors",  "01.safetensors", "1.safetensors.bak", "notes.txt", "1",
      ".1.safetensors", "-1.safetensors"};
  for (const std::string& name : others) Make(name);
  NEUMF_ASSERT_OK(
      files_->CreateDirectories(directory_.Path("7.safetensors/inside")));
  EXPECT_THAT(Prune(1), IsOkAndHolds(ElementsAre(1)));
  for (const std::string& name : others) {
    NEUMF_EXPECT_OK(files_->Stat(directory_.Path(name))) << name;
  }
  EXPECT_THAT(Versions(), ElementsAre(2, 7));  // a directory, and no version
}

TEST_F(CheckpointPruningTest, SaysWhichVersionCouldNotBeRemoved) {
  MakeVersions({1, 2});
  FaultyFileSystem faulty(files_.get());
  // serving.json, the list, two looks; then the removal.
  faulty.FailCall(5, absl::PermissionDeniedError("read-only"));
  EXPECT_THAT(PruneCheckpoints(faulty, directory_.path(), 1),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(Versions(), ElementsAre(1, 2));
}

TEST_F(CheckpointPruningTest, RemovesTemporaryFilesThatNobodyWritesTo) {
  const std::string old = TemporaryCheckpointName();
  const std::string young = TemporaryCheckpointName();
  for (const std::string& name :
       {old, young, std::string("1.safetensors"), std::string(".other")}) {
    Make(name);
  }
  for (const std::string& name :
       {old, std::string("1.safetensors"), std::string(".other")}) {
    Age(name, 3601);
  }
  Age(young, 3500);
  Make("now");
  RemoveAbandonedCheckpoints(*files_, directory_.path(),
                             directory_.Path("now"));
  EXPECT_THAT(files_->ListDirectory(directory_.path()).value(),
              UnorderedElementsAre(young, "1.safetensors", ".other", "now"));
}

}  // namespace
}  // namespace neumf
