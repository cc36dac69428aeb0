#include "base/file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr uint64_t kMaxBytes = 1 << 20;

class FileSystemTest : public testing::Test {
 protected:
  std::string Path(absl::string_view name) const {
    return directory_.Path(name);
  }

  void Put(absl::string_view name, absl::string_view content) {
    NEUMF_ASSERT_OK_AND_ASSIGN(const auto file, files_->CreateNew(Path(name)));
    NEUMF_ASSERT_OK(file->Append(content));
    NEUMF_ASSERT_OK(file->Sync());
    NEUMF_ASSERT_OK(file->Close());
  }

  absl::StatusOr<std::string> Content(absl::string_view name) {
    return ReadWholeFile(*files_, Path(name), kMaxBytes);
  }

  std::vector<std::string> Names() {
    return files_->ListDirectory(directory_.path()).value();
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
};

TEST_F(FileSystemTest, ReadsWhatWasWritten) {
  const std::string content("a\0b\nc", 5);
  Put("file", content);
  EXPECT_THAT(Content("file"), IsOkAndHolds(content));
}

TEST_F(FileSystemTest, NamesTheMissingFile) {
  EXPECT_THAT(
      files_->OpenForRead(Path("absent")),
      StatusIs(absl::StatusCode::kNotFound,
               AllOf(HasSubstr(Path("absent")), HasSubstr("No such file"))));
}

TEST_F(FileSystemTest, ReadsShortOnlyAtTheEnd) {
  Put("file", "0123456789");
  NEUMF_ASSERT_OK_AND_ASSIGN(const auto file,
                             files_->OpenForRead(Path("file")));
  std::string buffer(4, '.');
  const auto span = absl::MakeSpan(buffer.data(), buffer.size());
  EXPECT_THAT(file->ReadAt(3, span), IsOkAndHolds(4U));
  EXPECT_EQ(buffer, "3456");
  EXPECT_THAT(file->ReadAt(8, span), IsOkAndHolds(2U));
  EXPECT_EQ(buffer, "8956");
  EXPECT_THAT(file->ReadAt(10, span), IsOkAndHolds(0U));
  EXPECT_THAT(file->ReadAt(0, {}), IsOkAndHolds(0U));
}

TEST_F(FileSystemTest, OpensRegularFilesOnly) {
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  for (const std::string& path : {Path("pipe"), directory_.path()}) {
    EXPECT_THAT(files_->OpenForRead(path),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("not a regular file")));
  }
}

TEST_F(FileSystemTest, RefusesFilesAboveTheLimit) {
  Put("file", "12345");
  EXPECT_THAT(ReadWholeFile(*files_, Path("file"), 5), IsOkAndHolds("12345"));
  EXPECT_THAT(ReadWholeFile(*files_, Path("file"), 4),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(FileSystemTest, CreatesOnlyWhatIsNotThere) {
  Put("file", "old");
  EXPECT_THAT(files_->CreateNew(Path("file")),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(Content("file"), IsOkAndHolds("old"));
}

TEST_F(FileSystemTest, RenameNoReplaceOverwritesNothing) {
  Put("from", "new");
  Put("to", "old");
  EXPECT_THAT(files_->RenameNoReplace(Path("from"), Path("to")),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(Content("from"), IsOkAndHolds("new"));
  EXPECT_THAT(Content("to"), IsOkAndHolds("old"));
}

TEST_F(FileSystemTest, RenameNoReplaceMovesToAFreeName) {
  Put("from", "new");
  NEUMF_EXPECT_OK(files_->RenameNoReplace(Path("from"), Path("to")));
  EXPECT_THAT(Names(), ElementsAre("to"));
  EXPECT_THAT(Content("to"), IsOkAndHolds("new"));
}

TEST_F(FileSystemTest, RenameReplaces) {
  Put("from", "new");
  Put("to", "old");
  NEUMF_EXPECT_OK(files_->Rename(Path("from"), Path("to")));
  EXPECT_THAT(Names(), ElementsAre("to"));
  EXPECT_THAT(Content("to"), IsOkAndHolds("new"));
}

TEST_F(FileSystemTest, RemovesFiles) {
  Put("file", "x");
  NEUMF_EXPECT_OK(files_->Remove(Path("file")));
  EXPECT_THAT(Names(), IsEmpty());
  EXPECT_THAT(files_->Remove(Path("file")),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(FileSystemTest, ListsNamesWithoutTheDots) {
  Put("a", "");
  Put(".hidden", "");
  NEUMF_ASSERT_OK(files_->CreateDirectories(Path("folder")));
  EXPECT_THAT(Names(), UnorderedElementsAre("a", ".hidden", "folder"));
  EXPECT_THAT(files_->ListDirectory(Path("absent")),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(FileSystemTest, TellsFilesApart) {
  Put("a", "same");
  Put("b", "same");
  NEUMF_ASSERT_OK_AND_ASSIGN(const FileInfo a, files_->Stat(Path("a")));
  NEUMF_ASSERT_OK_AND_ASSIGN(const FileInfo b, files_->Stat(Path("b")));
  NEUMF_ASSERT_OK_AND_ASSIGN(const auto opened, files_->OpenForRead(Path("a")));
  EXPECT_TRUE(a == opened->info());
  EXPECT_FALSE(a == b);
  EXPECT_EQ(a.size_bytes, 4U);
  EXPECT_GT(a.modified_nanos, 0);
  EXPECT_FALSE(files_->Stat(directory_.path())->is_regular);
}

TEST_F(FileSystemTest, MakesDirectoriesWithTheirParents) {
  NEUMF_EXPECT_OK(files_->CreateDirectories(Path("a/b/c")));
  NEUMF_EXPECT_OK(files_->CreateDirectories(Path("a/b/c/")));
  NEUMF_EXPECT_OK(files_->SyncDirectory(Path("a/b/c")));
  Put("a/file", "");
  EXPECT_THAT(files_->CreateDirectories(Path("a/file")),
              StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_F(FileSystemTest, JoinsPathsWithOneSlash) {
  EXPECT_EQ(JoinPath("a", "b"), "a/b");
  EXPECT_EQ(JoinPath("a/", "b"), "a/b");
  EXPECT_EQ(JoinPath("/", "b"), "/b");
}

TEST_F(FileSystemTest, FindsTheDirectoryOfAPath) {
  EXPECT_EQ(DirectoryOf("a/b/c"), "a/b");
  EXPECT_EQ(DirectoryOf("/c"), "/");
  EXPECT_EQ(DirectoryOf("c"), ".");
}

class AtomicWriteTest : public FileSystemTest {
 protected:
  static constexpr char kOld[] = "the old content";
  static constexpr char kNew[] = "something new and longer";

  void SetUp() override { NEUMF_ASSERT_OK(Write(kOld)); }

  absl::Status Write(absl::string_view content) {
    return WriteFileAtomically(faulty_, Path("file"), content);
  }

  FaultyFileSystem faulty_{files_.get()};
};

TEST_F(AtomicWriteTest, ReplacesAndLeavesNothingElse) {
  NEUMF_EXPECT_OK(Write(kNew));
  EXPECT_THAT(Content("file"), IsOkAndHolds(kNew));
  EXPECT_THAT(Names(), ElementsAre("file"));
}

TEST_F(AtomicWriteTest, ShowsOldOrNewWhicheverCallFails) {
  int nth = 1;
  for (;; ++nth) {
    faulty_.FailCall(nth, absl::UnavailableError("disk"));
    const absl::Status status = Write(kNew);
    EXPECT_THAT(Content("file"), IsOkAndHolds(AnyOf(kOld, kNew))) << nth;
    EXPECT_THAT(Names(), ElementsAre("file")) << nth;
    if (status.ok()) break;
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable, "disk"));
    faulty_.StopFailing();
    NEUMF_ASSERT_OK(Write(kOld));
  }
  constexpr int kCalls = 6;  // create, append, sync, close, rename, sync
  EXPECT_EQ(nth, kCalls + 1);
  EXPECT_THAT(Content("file"), IsOkAndHolds(kNew));
}

TEST_F(AtomicWriteTest, ShowsOldOrNewWheneverTheMachineDies) {
  absl::Status status = absl::UnknownError("not yet");
  for (int nth = 1; !status.ok(); ++nth) {
    faulty_.FailFrom(nth, absl::UnavailableError("dead"));
    status = Write(kNew);
    EXPECT_THAT(Content("file"), IsOkAndHolds(AnyOf(kOld, kNew))) << nth;
    faulty_.StopFailing();
    NEUMF_ASSERT_OK(Write(status.ok() ? kNew : kOld));
  }
  EXPECT_THAT(Content("file"), IsOkAndHolds(kNew));
}

TEST_F(AtomicWriteTest, FailingAppendsWriteHalf) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const auto file, faulty_.CreateNew(Path("other")));
  faulty_.FailCall(1, absl::ResourceExhaustedError("full"));
  EXPECT_THAT(file->Append("12345678"),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(Content("other"), IsOkAndHolds("1234"));
  EXPECT_EQ(faulty_.num_calls(), 1);
}

}  // namespace
}  // namespace neumf
