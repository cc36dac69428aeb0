#include "checkpoint/checkpoint_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

TEST(CheckpointDirectoryTest, KnowsVersionNames) {
  EXPECT_EQ(ParseVersionFileName("1.safetensors"), 1U);
  EXPECT_EQ(ParseVersionFileName("999999999999999999.safetensors"),
            999'999'999'999'999'999U);
  EXPECT_EQ(VersionFileName(42), "42.safetensors");
}

TEST(CheckpointDirectoryTest, KnowsNoOtherNames) {
  for (const char* name :
       {"", ".safetensors", "0.safetensors", "01.safetensors", "-1.safetensors",
        "+1.safetensors", " 1.safetensors", "1 .safetensors", "1", "1.tmp",
        "1.safetensors.tmp", ".tmp-1-a.safetensors", "1a.safetensors",
        "1.0.safetensors", "1000000000000000000.safetensors"}) {
    EXPECT_EQ(ParseVersionFileName(name), std::nullopt) << name;
  }
}

TEST(CheckpointDirectoryTest, ListsVersionsByNumber) {
  const TempDirectory directory;
  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  for (const char* name : {"10.safetensors", "9.safetensors", "notes.txt",
                           ".tmp-3.safetensors", "100.safetensors"}) {
    NEUMF_ASSERT_OK(files->CreateNew(directory.Path(name)).status());
  }
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::vector<CheckpointFile> checkpoints,
                             ListCheckpoints(*files, directory.path()));
  ASSERT_EQ(checkpoints.size(), 3U);
  EXPECT_EQ(checkpoints[0].version, 9U);
  EXPECT_EQ(checkpoints[0].path, directory.Path("9.safetensors"));
  EXPECT_EQ(checkpoints[2].version, 100U);
}

TEST(CheckpointDirectoryTest, SaysWhenThereIsNoDirectory) {
  const TempDirectory directory;
  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  EXPECT_THAT(ListCheckpoints(*files, directory.Path("missing")),
              StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace neumf
