#include "server/directory_hint.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

constexpr absl::Duration kLongestWait = absl::Seconds(60);

class DirectoryHintTest : public testing::Test {
 protected:
  DirectoryHintTest() {
    mkdir(directory_.c_str(), 0755);
    hint_ = std::make_unique<DirectoryHint>(directory_, [this] { Changed(); });
    hint_->Watch();
  }

  static void Write(const std::string& path) { std::ofstream(path) << "text"; }
  static void Rename(const std::string& from, const std::string& to) {
    ASSERT_EQ(rename(from.c_str(), to.c_str()), 0);
  }
  // As a publisher does. The name in between says nothing to anybody.
  static void PutInto(const std::string& directory, const std::string& name) {
    const std::string temporary = directory + "/.tmp-1.safetensors";
    Write(temporary);
    Rename(temporary, directory + "/" + name);
  }

  // Whether there was a change since the last call, or comes soon.
  bool WaitForChange() {
    MutexLock lock(&mutex_);
    const absl::Duration end = clock_->MonotonicNow() + kLongestWait;
    while (changes_ == 0 && clock_->WaitUntil(&changed_, &mutex_, end)) {
    }
    const bool was_changed = changes_ > 0;
    changes_ = 0;
    return was_changed;
  }

  // From now on changes are not taken until Release().
  void Hold() {
    MutexLock lock(&mutex_);
    held_ = true;
  }
  void Release() {
    MutexLock lock(&mutex_);
    held_ = false;
    changed_.SignalAll();
  }

  const TempDirectory root_;
  const std::string directory_ = root_.Path("checkpoints");
  std::unique_ptr<DirectoryHint> hint_;

 private:
  void Changed() {
    MutexLock lock(&mutex_);
    ++changes_;
    changed_.SignalAll();
    while (held_) changed_.Wait(&mutex_);
  }

  const std::unique_ptr<Clock> clock_ = MakeRealClock();
  Mutex mutex_;
  CondVar changed_;
  int changes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
};

TEST_F(DirectoryHintTest, APublishedVersionIsAChange) {
  PutInto(directory_, "7.safetensors");
  EXPECT_TRUE(WaitForChange());
}

TEST_F(DirectoryHintTest, ACopyIsAChangeWhenItIsClosed) {
  Write(directory_ + "/7.safetensors");
  EXPECT_TRUE(WaitForChange());
}

TEST_F(DirectoryHintTest, APolicyIsAChange) {
  PutInto(directory_, "serving.json");
  EXPECT_TRUE(WaitForChange());
}

TEST_F(DirectoryHintTest, ALinkIsAChange) {
  Write(root_.Path("elsewhere"));
  const std::string link = directory_ + "/7.safetensors";
  ASSERT_EQ(symlink(root_.Path("elsewhere").c_str(), link.c_str()), 0);
  EXPECT_TRUE(WaitForChange());
}

TEST_F(DirectoryHintTest, AVolumeThatSwapsItsLinkIsAChange) {
  const std::string link = directory_ + "/..data_tmp";
  ASSERT_EQ(symlink("..2026_01_01", link.c_str()), 0);
  Rename(link, directory_ + "/..data");
  EXPECT_TRUE(WaitForChange());
}

TEST_F(DirectoryHintTest, FollowsTheNameToAnotherDirectory) {
  ASSERT_EQ(rmdir(directory_.c_str()), 0);
  EXPECT_TRUE(WaitForChange());
  hint_->Watch();  // there is nothing

  const std::string first = root_.Path("first");
  const std::string second = root_.Path("second");
  for (const std::string& target : {first, second}) {
    mkdir(target.c_str(), 0755);
    const std::string link = root_.Path("link");
    ASSERT_EQ(symlink(target.c_str(), link.c_str()), 0);
    Rename(link, directory_);
    hint_->Watch();
    PutInto(target, "7.safetensors");
    EXPECT_TRUE(WaitForChange());
  }
}

TEST_F(DirectoryHintTest, MoreEventsThanTheSystemKeepsAreAChange) {
  int most_kept = 0;
  std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> most_kept;
  ASSERT_GT(most_kept, 0);
  Hold();
  PutInto(directory_, "7.safetensors");
  ASSERT_TRUE(WaitForChange());
  // None of them is a change itself, and no two in a row are alike.
  const std::string one = directory_ + "/one";
  const std::string other = directory_ + "/other";
  Write(one);
  for (int i = 0; i < most_kept; ++i) {
    Rename(i % 2 == 0 ? one : other, i % 2 == 0 ? other : one);
  }
  Release();
  EXPECT_TRUE(WaitForChange());
}

}  // namespace
}  // namespace neumf
