// Disks that fail, and files that change, at any point of a load beside a served
// version.

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "base/status_macros.h"
#include "server/checkpoint_watcher.h"
#include "tests/server/metric_reader.h"
#include "tests/server/test_checkpoint.h"
#include "tests/support/fake_clock.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

// Fewer points than this, and a walk has missed the load: its file alone is read
// in more pieces.
constexpr int kFewestPoints = 20;

absl::Status IoError() { return ErrnoStatus(EIO, "read the disk"); }

// May be unable to open checkpoints, and nothing else, for as long as it is told.
class FlakyFileSystem : public FaultyFileSystem {
 public:
  using FaultyFileSystem::FaultyFileSystem;
  bool fails_checkpoints = false;
  int num_failed = 0;

  absl::StatusOr<std::unique_ptr<ReadableFile>> OpenForRead(
      absl::string_view path) override {
    if (!fails_checkpoints || !absl::EndsWith(path, ".safetensors")) {
      return FaultyFileSystem::OpenForRead(path);
    }
    ++num_failed;
    return IoError();
  }
};

class FailingDiskTest : public testing::Test {
 protected:
  FailingDiskTest() {
    CheckpointLoader::Options loader_options;
    loader_options.crash_guard = &guard_;
    loader_ = std::make_unique<CheckpointLoader>(&files_, loader_options,
                                                 &device_, &metrics_);
    CheckpointWatcher::Options options;
    options.directory = folder_.path();
    watcher_ = std::make_unique<CheckpointWatcher>(
        options, CheckpointWatcher::Parts{
                     &files_, &clock_, loader_.get(), &device_, &recovery_,
                     &holder_, &reaper_, &history_, &metrics_, &guard_});
    testing::internal::CaptureStderr();
    folder_.Publish(1);
    Poll();
  }
  ~FailingDiskTest() override {
    watcher_.reset();
    testing::internal::GetCapturedStderr();
  }

  void Poll() { watcher_->PollOnce(); }
  // Polls until whatever has to be waited for, after one failure, is over.
  void PollForAWhile() {
    for (int i = 0; i < 3; ++i) {
      Poll();
      clock_.Advance(absl::Seconds(1));
    }
    Poll();
  }
  uint64_t Served() const {
    const auto snapshot = holder_.Get();
    return snapshot == nullptr ? 0 : snapshot->version;
  }
  double Reloads(const std::string& result) {
    return ReadMetric(metrics_, "neumf_reload_total", {{"result", result}});
  }

  CheckpointFolder folder_;
  const TempDirectory state_;
  const std::unique_ptr<FileSystem> posix_ = MakePosixFileSystem();
  FlakyFileSystem files_{posix_.get()};
  FakeClock clock_;
  ServerMetrics metrics_;
  VersionHistory history_;
  Reaper reaper_;
  SnapshotHolder holder_;
  CrashGuard guard_{state_.path(), &files_};
  ScoringDevice device_{{}, /*uses_gpu=*/false, &metrics_, [] {}};
  DeviceRecovery recovery_{{}, &clock_, &device_};
  std::unique_ptr<CheckpointLoader> loader_;
  std::unique_ptr<CheckpointWatcher> watcher_;
};

// From each call on that a poll makes, the load of the new version included.
TEST_F(FailingDiskTest, TheOldVersionServesUntilTheDiskWorksAgain) {
  int num_refused = 0;
  uint64_t version = 2;
  for (int nth = 1;; ++nth, ++version) {
    ASSERT_EQ(Served(), version - 1);
    folder_.Publish(version);
    files_.FailFrom(nth, IoError());
    Poll();
    if (files_.num_calls() < nth) break;
    // The new one only where all that failed came after its last byte.
    if (Served() != version) {
      ASSERT_EQ(Served(), version - 1) << nth;
      ++num_refused;
    }
    files_.StopFailing();
    PollForAWhile();
    ASSERT_EQ(Served(), version) << nth;
  }
  EXPECT_EQ(Served(), version);
  EXPECT_GT(num_refused, kFewestPoints);
  EXPECT_EQ(Reloads("corrupt"), 0);
  EXPECT_GT(Reloads("io_error"), kFewestPoints);
}

// One call alone fails: a sector that could be read the second time.
TEST_F(FailingDiskTest, ASingleErrorCostsATryAtMost) {
  uint64_t version = 2;
  for (int nth = 1;; ++nth, ++version) {
    folder_.Publish(version);
    files_.FailCall(nth, IoError());
    Poll();
    if (files_.num_calls() < nth) break;
    ASSERT_TRUE(Served() == version - 1 || Served() == version) << nth;
    PollForAWhile();
    ASSERT_EQ(Served(), version) << nth;
  }
  EXPECT_GT(version, kFewestPoints);
  EXPECT_EQ(Reloads("corrupt"), 0);
}

TEST_F(FailingDiskTest, AFileThatCannotBeReadForAnHourIsTriedSeldom) {
  folder_.Publish(2);
  files_.fails_checkpoints = true;
  for (int second = 0; second < 3600; ++second) {
    Poll();
    clock_.Advance(absl::Seconds(1));
    ASSERT_EQ(Served(), 1U);
  }
  // Doubling from a second up to a minute, then each minute.
  EXPECT_GT(files_.num_failed, 50);
  EXPECT_LT(files_.num_failed, 75);
  EXPECT_EQ(Reloads("io_error"), 1);  // the same one, over and over
  files_.fails_checkpoints = false;
  clock_.Advance(absl::Minutes(1));
  Poll();
  EXPECT_EQ(Served(), 2U);
}

TEST_F(FailingDiskTest, AFileThatIsCutAtAnyPointIsServedWhenItIsWhole) {
  int num_refused = 0;
  uint64_t version = 2;
  for (int nth = 1;; ++nth, ++version) {
    folder_.Publish(version);
    const std::string whole = folder_.Bytes(version);
    bool is_cut = false;
    files_.OnCall(nth, [&] {
      std::filesystem::resize_file(folder_.File(version).path,
                                   whole.size() / 2);
      is_cut = true;
    });
    Poll();
    if (!is_cut) break;
    if (Served() != version) {
      ASSERT_EQ(Served(), version - 1) << nth;
      ++num_refused;
    }
    folder_.Overwrite(version, whole);
    PollForAWhile();
    ASSERT_EQ(Served(), version) << nth;
  }
  EXPECT_GT(num_refused, 5);  // later it has all of the second half
}

TEST_F(FailingDiskTest, AFileThatIsReplacedAtAnyPointIsServedWhole) {
  uint64_t version = 2;
  for (int nth = 1;; ++nth, ++version) {
    folder_.Publish(version);
    Manifest other;
    other.model_kind = "replaced";
    bool is_replaced = false;
    files_.OnCall(nth, [&] {
      folder_.Publish(version, other);
      is_replaced = true;
    });
    Poll();
    if (!is_replaced) break;
    ASSERT_TRUE(Served() == version - 1 || Served() == version) << nth;
    PollForAWhile();
    ASSERT_EQ(Served(), version) << nth;
  }
  EXPECT_GT(version, kFewestPoints);
  for (const char* const refusal : {"corrupt", "incompatible", "io_error"}) {
    EXPECT_EQ(Reloads(refusal), 0) << refusal;
  }
}

}  // namespace
}  // namespace neumf
