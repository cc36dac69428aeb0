#include "server/checkpoint_watcher.h"

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "checkpoint/serving_policy.h"
#include "tests/server/metric_reader.h"
#include "tests/server/test_checkpoint.h"
#include "tests/support/fake_clock.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

int Count(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos;
       at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

// Does something when a checkpoint is opened.
class ObservedFileSystem : public FaultyFileSystem {
 public:
  using FaultyFileSystem::FaultyFileSystem;
  std::function<void()> on_open = [] {};
  absl::StatusOr<std::unique_ptr<ReadableFile>> OpenForRead(
      absl::string_view path) override {
    if (path.find(kServingPolicyFile) == absl::string_view::npos) on_open();
    return FaultyFileSystem::OpenForRead(path);
  }
};

class CheckpointWatcherTest : public testing::Test {
 protected:
  CheckpointWatcherTest() {
    CheckpointWatcher::Options options;
    options.directory = folder_.path();
    CheckpointWatcher::Parts parts;
    parts.files = &files_;
    parts.clock = &clock_;
    parts.loader = &loader_;
    parts.device = &device_;
    parts.recovery = &recovery_;
    parts.holder = &holder_;
    parts.reaper = &reaper_;
    parts.history = &history_;
    parts.metrics = &metrics_;
    watcher_ = std::make_unique<CheckpointWatcher>(options, parts);
    testing::internal::CaptureStderr();
  }
  ~CheckpointWatcherTest() override {
    watcher_.reset();
    testing::internal::GetCapturedStderr();
  }

  // 0 before the first.
  uint64_t Served() {
    const auto snapshot = holder_.Get();
    return snapshot == nullptr ? 0 : snapshot->version;
  }
  void Poll(int times = 1) {
    for (int i = 0; i < times; ++i) watcher_->PollOnce();
  }
  double Reloads(const std::string& result) {
    return ReadMetric(metrics_, "neumf_reload_total", {{"result", result}});
  }
  // What was logged since the last call.
  static std::string Log() {
    std::string log = testing::internal::GetCapturedStderr();
    testing::internal::CaptureStderr();
    return log;
  }
  v1::ModelVersion Newest() { return history_.List().front(); }

  // Makes the next load meet an error: the calls before it list the directory,
  // ask for serving.json and look at the file twice.
  void FailNextOpen(absl::Status error) {
    files_.FailCall(5, std::move(error));
  }
  void FailNextOpen() {
    FailNextOpen(absl::UnavailableError("the disk is gone"));
  }

  CheckpointFolder folder_;
  const std::unique_ptr<FileSystem> posix_ = MakePosixFileSystem();
  ObservedFileSystem files_{posix_.get()};
  FakeClock clock_;
  ServerMetrics metrics_;
  VersionHistory history_;
  Reaper reaper_;
  SnapshotHolder holder_;
  ScoringDevice device_{{}, /*uses_gpu=*/false, &metrics_, [] {}};
  DeviceRecovery recovery_{{}, &clock_, &device_};
  const CheckpointLoader loader_{&files_, {}, &device_, &metrics_};
  std::unique_ptr<CheckpointWatcher> watcher_;
};

TEST_F(CheckpointWatcherTest, ServesTheLargestVersionFirst) {
  folder_.Publish(2);
  folder_.Publish(10);
  folder_.Publish(9);
  NEUMF_EXPECT_OK(watcher_->LoadFirst());
  EXPECT_EQ(Served(), 10U);
  EXPECT_EQ(Newest().state(), v1::MODEL_STATE_SERVING);
  EXPECT_EQ(Reloads("ok"), 1);
  const std::string log = Log();
  EXPECT_THAT(log, HasSubstr("event=checkpoint_found version=10"));
  EXPECT_THAT(log, HasSubstr("event=checkpoint_loading version=10"));
  EXPECT_THAT(log, HasSubstr("event=checkpoint_serving version=10"));
}

TEST_F(CheckpointWatcherTest, TriesDownwardsAtTheStart) {
  folder_.Publish(1);
  folder_.Publish(2);
  folder_.FlipLastByte(2);
  NEUMF_EXPECT_OK(watcher_->LoadFirst());
  EXPECT_EQ(Served(), 1U);
  EXPECT_THAT(Log(), HasSubstr("event=checkpoint_refused version=2"));
}

TEST_F(CheckpointWatcherTest, SaysWhyThereIsNothingToServe) {
  EXPECT_THAT(watcher_->LoadFirst(),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("no file is named <version>.safetensors")));
  folder_.Publish(4);
  folder_.FlipLastByte(4);
  EXPECT_THAT(watcher_->LoadFirst(), StatusIs(absl::StatusCode::kNotFound,
                                              AllOf(HasSubstr(folder_.path()),
                                                    HasSubstr("version 4: "))));
  folder_.RemoveFolder();
  EXPECT_THAT(watcher_->LoadFirst(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(folder_.path())));
  EXPECT_EQ(Served(), 0U);
}

TEST_F(CheckpointWatcherTest, TellsWhyTheNewestCannotBeServedAndCountsTheRest) {
  for (uint64_t version = 1; version <= 7; ++version) {
    folder_.Overwrite(version, "junk");
  }
  EXPECT_THAT(watcher_->LoadFirst(),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("version 7: "), HasSubstr("version 3: "),
                             HasSubstr("; and 2 older versions"),
                             Not(HasSubstr("version 2: ")))));
}

TEST_F(CheckpointWatcherTest, ForgetsRefusedVersionsThatAreGone) {
  for (uint64_t version = 1; version <= 3; ++version) {
    folder_.Overwrite(version, "junk");
  }
  EXPECT_FALSE(watcher_->LoadFirst().ok());
  folder_.Remove(1);
  folder_.Remove(3);
  EXPECT_THAT(
      watcher_->LoadFirst(),
      StatusIs(absl::StatusCode::kNotFound,
               AllOf(HasSubstr("version 2: "), Not(HasSubstr("version 1: ")),
                     Not(HasSubstr("version 3: ")))));
}

TEST_F(CheckpointWatcherTest, ALoadThatIsGivenUpIsNeitherServedNorRefused) {
  folder_.Publish(1);
  NEUMF_ASSERT_OK(watcher_->LoadFirst());
  folder_.Publish(2);
  folder_.Publish(3);
  files_.on_open = [&] { watcher_->RequestStop(); };
  Poll(2);
  EXPECT_EQ(Served(), 1U);
  ASSERT_THAT(history_.List(), SizeIs(2));
  EXPECT_EQ(history_.List()[0].state(), v1::MODEL_STATE_RETIRED);
  EXPECT_EQ(ReadMetric(metrics_, "neumf_reload_duration_seconds"), 1);
  EXPECT_THAT(Log(), AllOf(HasSubstr("event=checkpoint_given_up version=3"),
                           Not(HasSubstr("event=checkpoint_refused")),
                           Not(HasSubstr("version=2"))));
}

TEST_F(CheckpointWatcherTest, LooksAtNothingOnceItIsToldToStop) {
  folder_.Publish(1);
  watcher_->RequestStop();
  Poll();
  EXPECT_EQ(Served(), 0U);
  EXPECT_THAT(history_.List(), SizeIs(0));
}

TEST_F(CheckpointWatcherTest, SwapsInANewVersion) {
  folder_.Publish(1);
  NEUMF_ASSERT_OK(watcher_->LoadFirst());
  folder_.Publish(2);
  Poll();
  EXPECT_EQ(Served(), 2U);
  EXPECT_EQ(history_.List()[1].state(), v1::MODEL_STATE_STANDBY);
  EXPECT_EQ(ReadMetric(metrics_, "neumf_reload_duration_seconds"), 2);
}

TEST_F(CheckpointWatcherTest, ARefusedFileIsLoggedCountedAndRecordedOnce) {
  folder_.Publish(1);
  NEUMF_ASSERT_OK(watcher_->LoadFirst());
  folder_.Publish(2);
  folder_.FlipLastByte(2);
  Poll(5);
  clock_.Advance(absl::Hours(24));
  Poll(5);
  EXPECT_EQ(Served(), 1U);
  EXPECT_EQ(Reloads("corrupt"), 1);
  EXPECT_EQ(history_.List().size(), 2U);
  EXPECT_EQ(Newest().state(), v1::MODEL_STATE_REFUSED);
  EXPECT_FALSE(Newest().reason().empty());
  EXPECT_EQ(Count(Log(), "event=checkpoint_refused version=2"), 1);
}

TEST_F(CheckpointWatcherTest, ARefusedFileIsTriedAgainWhenItIsReplaced) {
  folder_.Publish(1);
  folder_.FlipLastByte(1);
  Poll();
  EXPECT_EQ(Served(), 0U);
  folder_.Publish(1);
  Poll();
  EXPECT_EQ(Served(), 1U);
}

TEST_F(CheckpointWatcherTest, AFileThatGrowsIsTriedAgainWhenItIsStill) {
  folder_.Publish(1);
  const std::string whole = folder_.Bytes(1);
  folder_.Overwrite(1, whole.substr(0, 100));
  Poll();
  EXPECT_EQ(Reloads("corrupt"), 1);
  for (const size_t size : {200, 300, 400}) {
    folder_.Overwrite(1, whole.substr(0, size));
    Poll();
    EXPECT_EQ(Newest().state(), v1::MODEL_STATE_FOUND);
  }
  EXPECT_EQ(Reloads("corrupt"), 1);
  EXPECT_THAT(history_.List(), SizeIs(1));
  folder_.Overwrite(1, whole);
  Poll(2);
  EXPECT_EQ(Served(), 0U);
  clock_.Advance(absl::Seconds(1));
  Poll();
  EXPECT_EQ(Served(), 1U);
}

TEST_F(CheckpointWatcherTest, ACopyThatPausesIsTriedAgainInSilence) {
  folder_.Publish(1);
  const std::string whole = folder_.Bytes(1);
  for (const size_t size : {100, 200, 300}) {
    folder_.Overwrite(1, whole.substr(0, size));
    Poll();
    clock_.Advance(absl::Seconds(1));
    Poll();
  }
  EXPECT_EQ(Reloads("corrupt"), 1);
  EXPECT_THAT(history_.List(), SizeIs(1));
  EXPECT_EQ(Newest().state(), v1::MODEL_STATE_REFUSED);
  EXPECT_EQ(Count(Log(), "event=checkpoint_refused version=1"), 1);
}

TEST_F(CheckpointWatcherTest, AFileThatChangesWhileItIsReadIsWaitedFor) {
  folder_.Publish(1);
  const std::string whole = folder_.Bytes(1);
  folder_.Overwrite(1, whole.substr(0, 100));
  files_.on_open = [&] { folder_.Overwrite(1, whole.substr(0, 200)); };
  Poll();
  files_.on_open = [] {};
  EXPECT_EQ(Newest().state(), v1::MODEL_STATE_FOUND);
  clock_.Advance(absl::Seconds(1));
  Poll();
  EXPECT_EQ(Newest().state(),
            v1::MODEL_STATE_FOUND);  // seen for the first time
  clock_.Advance(absl::Seconds(1));
  Poll();
  EXPECT_EQ(Newest().state(), v1::MODEL_STATE_REFUSED);
  EXPECT_FALSE(Newest().reason().empty());
}

TEST_F(CheckpointWatcherTest, WhatIsOvertakenOrGoneIsNotWaitedFor) {
  folder_.Publish(1);
  NEUMF_ASSERT_OK(watcher_->LoadFirst());
  for (const uint64_t version : {2, 4}) {
    folder_.Overwrite(version, "junk");
    Poll();
    folder_.Overwrite(version, "and more junk");
    Poll();
    ASSERT_EQ(Newest().state(), v1::MODEL_STATE_FOUND);
    if (version == 2) {
      folder_.Publish(3);
    } else {
      folder_.Remove(4);
    }
    Poll();
    for (const v1::ModelVersion& record : history_.List()) {
      EXPECT_NE(record.state(), v1::MODEL_STATE_FOUND) << record.version();
    }
  }
}

TEST_F(CheckpointWatcherTest, AnOldFileThatIsWrittenAnewSaysAgainWhatIsWrong) {
  folder_.Overwrite(1, "junk");
  Poll();
  folder_.Overwrite(1, "other junk");
  Poll();
  clock_.Advance(absl::Now() - clock_.WallNow() + absl::Minutes(2));
  Poll();
  EXPECT_EQ(Reloads("corrupt"), 2);
}

TEST_F(CheckpointWatcherTest, ARenameIsServedWithoutWaitingForAPoll) {
  folder_.Publish(1);
  NEUMF_ASSERT_OK(watcher_->LoadFirst());
  watcher_->Start();
  // The clock stands still. What comes before the watch is there, is not seen.
  for (uint64_t version = 2; Served() == 1; ++version) {
    folder_.Publish(version);
    absl::SleepFor(absl::Milliseconds(20));
  }
}

TEST_F(CheckpointWatcherTest, ABadVersionDoesNotHideAGoodOneBelowIt) {
  folder_.Publish(1);
  NEUMF_ASSERT_OK(watcher_->LoadFirst());
  folder_.Publish(2);
  folder_.Publish(3);
  folder_.FlipLastByte(3);
  Poll();
  EXPECT_EQ(Served(), 2U);
}

TEST_F(CheckpointWatcherTest, NeverGoesBackByItself) {
  folder_.Publish(1);
  folder_.Publish(2);
  NEUMF_ASSERT_OK(watcher_->LoadFirst());
  folder_.Remove(2);
  folder_.Publish(1);
  Poll(3);
  EXPECT_EQ(Served(), 2U);
  EXPECT_EQ(Reloads("ok"), 1);
}

TEST_F(CheckpointWatcherTest, ARemovedDirectoryChangesNothing) {
  folder_.Publish(1);
  NEUMF_ASSERT_OK(watcher_->LoadFirst());
  folder_.RemoveFolder();
  Poll(3);
  EXPECT_EQ(Served(), 1U);
  EXPECT_EQ(Count(Log(), "event=checkpoint_directory_unreadable"), 1);
  folder_.Publish(2);
  Poll();
  EXPECT_EQ(Served(), 2U);
}

TEST_F(CheckpointWatcherTest, IoErrorsAreTriedAgainWithABackOff) {
  folder_.Publish(1);
  FailNextOpen();
  Poll();
  EXPECT_EQ(Served(), 0U);
  Poll();  // too soon
  EXPECT_EQ(Served(), 0U);
  clock_.Advance(absl::Seconds(1));
  FailNextOpen();
  Poll();
  clock_.Advance(absl::Seconds(1));
  Poll();  // too soon: the wait has doubled
  EXPECT_EQ(Served(), 0U);
  EXPECT_EQ(Reloads("io_error"), 1);
  EXPECT_EQ(Count(Log(), "event=checkpoint_refused"), 1);
  clock_.Advance(absl::Seconds(1));
  Poll();
  EXPECT_EQ(Served(), 1U);
}

TEST_F(CheckpointWatcherTest, LackOfMemoryIsTriedAgain) {
  folder_.Publish(1);
  FailNextOpen(absl::ResourceExhaustedError("no memory"));
  Poll();
  EXPECT_EQ(Served(), 0U);
  EXPECT_EQ(Reloads("no_memory"), 1);
  clock_.Advance(absl::Seconds(1));
  Poll();
  EXPECT_EQ(Served(), 1U);
}

TEST_F(CheckpointWatcherTest, ASecondTryThatEndsOtherwiseIsRecorded) {
  folder_.Publish(1);
  FailNextOpen();
  Poll();
  clock_.Advance(absl::Seconds(1));
  FailNextOpen(absl::DataLossError("the disk lies"));
  Poll();
  EXPECT_EQ(Reloads("io_error"), 1);
  EXPECT_EQ(Reloads("corrupt"), 1);
  EXPECT_EQ(history_.List().size(), 2U);
}

TEST_F(CheckpointWatcherTest, PollsOnItsOwnThreadUntilStopped) {
  folder_.Publish(1);
  watcher_->Start();
  while (Served() != 1) {
    clock_.Advance(absl::Seconds(2));
    std::this_thread::yield();
  }
  watcher_->Stop();
  folder_.Publish(2);
  clock_.Advance(absl::Seconds(10));
  EXPECT_EQ(Served(), 1U);
  watcher_->Stop();
}

}  // namespace
}  // namespace neumf
