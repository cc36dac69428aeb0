// Publishers as what they are, processes: killed at every system call, and many
// at once in one directory.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "checkpoint/checkpoint_directory.h"
#include "checkpoint/checkpoint_pruning.h"
#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/checkpoint_writer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"
#include "tests/support/tiny_model.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kCannotTrace = 77;

// `work` in a process of its own; its exit status says whether that was true.
pid_t Start(const std::function<bool()>& work, bool is_traced = false) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  if (is_traced) {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(kCannotTrace);
    raise(SIGSTOP);
  }
  _exit(work() ? kDone : kFailed);
}

int WaitFor(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// As Start(), but the process is killed where it enters or leaves a system call
// for the `nth` time. Its wait status: that of an exit when it had ended before.
int RunUntilSystemCall(int nth, const std::function<bool()>& work) {
  const pid_t pid = Start(work, /*is_traced=*/true);
  int status = WaitFor(pid);
  for (int stop = 0; stop < nth && WIFSTOPPED(status); ++stop) {
    ptrace(PTRACE_SYSCALL, pid, nullptr, nullptr);
    status = WaitFor(pid);
  }
  if (!WIFSTOPPED(status)) return status;
  kill(pid, SIGKILL);
  return WaitFor(pid);
}

class PublishersTest : public testing::Test {
 protected:
  PublishersTest() { NEUMF_CHECK(files_->CreateDirectories(Folder()).ok()); }

  std::string Folder() const { return directory_.Path("models"); }
  absl::StatusOr<PublishedCheckpoint> Publish(const char* kind = "neumf") {
    Manifest manifest;
    manifest.model_kind = kind;
    return PublishCheckpoint(*files_, Folder(), tiny_.model, tiny_.items,
                             manifest);
  }
  bool PublishAndKeep(size_t keep, const char* kind = "neumf") {
    return Publish(kind).ok() && PruneCheckpoints(*files_, Folder(), keep).ok();
  }
  std::vector<std::string> Names() const {
    return files_->ListDirectory(Folder()).value();
  }
  std::vector<std::string> Temporaries() const {
    std::vector<std::string> names = Names();
    names.erase(std::remove_if(names.begin(), names.end(),
                               [](const std::string& name) {
                                 return !IsTemporaryCheckpointName(name);
                               }),
                names.end());
    return names;
  }
  // Of the versions that are there, all of which are whole.
  std::vector<std::pair<uint64_t, std::string>> VersionsAndKinds() const {
    std::vector<std::pair<uint64_t, std::string>> found;
    const auto checkpoints = ListCheckpoints(*files_, Folder());
    NEUMF_EXPECT_OK(checkpoints);
    if (!checkpoints.ok()) return found;
    for (const CheckpointFile& checkpoint : *checkpoints) {
      const auto loaded = LoadCheckpoint(*files_, checkpoint.path);
      NEUMF_EXPECT_OK(loaded);
      if (!loaded.ok()) continue;
      found.emplace_back(checkpoint.version, loaded->info.manifest.model_kind);
    }
    return found;
  }
  uint64_t LargestVersion() const { return VersionsAndKinds().back().first; }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  const TinyModel tiny_ = MakeTinyModel({});
};

TEST_F(PublishersTest, LeaveWholeVersionsWhereverTheyAreKilled) {
  NEUMF_ASSERT_OK(Publish());
  NEUMF_ASSERT_OK(Publish());
  int num_killed = 0;
  size_t num_left = 0;
  for (int nth = 1;; ++nth) {
    const uint64_t before = LargestVersion();
    const int status =
        RunUntilSystemCall(nth, [&] { return PublishAndKeep(2); });
    if (WIFEXITED(status) && WEXITSTATUS(status) == kCannotTrace) {
      GTEST_SKIP() << "processes must not be traced here";
    }
    for (const std::string& name : Names()) {
      EXPECT_TRUE(IsTemporaryCheckpointName(name) ||
                  ParseVersionFileName(name).has_value())
          << name;
    }
    // All are whole, and of those from before none is missed yet.
    EXPECT_THAT(VersionsAndKinds(), SizeIs(testing::Ge(2U))) << "stop " << nth;
    NEUMF_ASSERT_OK_AND_ASSIGN(const PublishedCheckpoint next, Publish());
    EXPECT_GT(next.version, before) << "stop " << nth;
    NEUMF_ASSERT_OK(PruneCheckpoints(*files_, Folder(), 2));
    EXPECT_THAT(VersionsAndKinds(), SizeIs(2));
    // What is left is looked at by the next one, which would never end then.
    for (const std::string& name : Temporaries()) {
      NEUMF_ASSERT_OK(files_->Remove(JoinPath(Folder(), name)));
      ++num_left;
    }
    if (WIFEXITED(status)) {
      EXPECT_EQ(WEXITSTATUS(status), kDone);
      break;
    }
    ++num_killed;
  }
  // It lists, creates, writes, syncs, renames and removes.
  EXPECT_GT(num_killed, 50);
  EXPECT_GT(num_left, 10U) << "of those killed between creating and renaming";
}

TEST_F(PublishersTest, ManyAtOnceGetNumbersOfTheirOwn) {
  constexpr int kProcesses = 12;
  constexpr int kVersionsEach = 4;
  std::vector<pid_t> processes;
  for (int p = 0; p < kProcesses; ++p) {
    processes.push_back(Start([&] {
      for (int i = 0; i < kVersionsEach; ++i) {
        const std::string kind = absl::StrCat(p, "/", i);
        if (!Publish(kind.c_str()).ok()) return false;
      }
      return true;
    }));
  }
  for (const pid_t process : processes) EXPECT_EQ(WaitFor(process), 0);
  std::set<uint64_t> versions;
  std::set<std::string> kinds;
  for (const auto& [version, kind] : VersionsAndKinds()) {
    versions.insert(version);
    kinds.insert(kind);
  }
  EXPECT_THAT(versions, SizeIs(kProcesses * kVersionsEach));
  EXPECT_THAT(kinds, SizeIs(kProcesses * kVersionsEach));
  EXPECT_EQ(*versions.begin(), 1U);
  EXPECT_EQ(*versions.rbegin(), versions.size());
  EXPECT_THAT(Temporaries(), IsEmpty());
}

// The last one to publish sees all that others have published, and keeps three.
TEST_F(PublishersTest, ManyAtOnceKeepTheNewest) {
  constexpr int kProcesses = 8;
  constexpr int kVersionsEach = 5;
  std::vector<pid_t> processes;
  for (int p = 0; p < kProcesses; ++p) {
    processes.push_back(Start([&] {
      for (int i = 0; i < kVersionsEach; ++i) {
        if (!PublishAndKeep(3)) return false;
      }
      return true;
    }));
  }
  for (const pid_t process : processes) EXPECT_EQ(WaitFor(process), 0);
  std::vector<uint64_t> versions;
  for (const auto& [version, kind] : VersionsAndKinds()) {
    versions.push_back(version);
  }
  // No number was used twice: each publish took the next one.
  EXPECT_THAT(versions, ElementsAre(38, 39, 40));
}

}  // namespace
}  // namespace neumf
