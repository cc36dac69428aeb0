// What a daemon serves first, by what the one before it has remembered; and
// when it takes what comes later.

#include <memory>
#include <string>
#include <utility>

#include "checkpoint/serving_policy.h"
#include "server/checkpoint_watcher.h"
#include "tests/server/metric_reader.h"
#include "tests/server/test_checkpoint.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

class StartOrderTest : public testing::Test {
 protected:
  StartOrderTest() {
    Restart();
    testing::internal::CaptureStderr();
  }
  ~StartOrderTest() override {
    watcher_.reset();
    testing::internal::GetCapturedStderr();
  }

  // A daemon that has just started.
  void Restart() {
    watcher_.reset();
    holder_ = std::make_unique<SnapshotHolder>();
    history_ = std::make_unique<VersionHistory>();
    guard_ = std::make_unique<CrashGuard>(state_, files_.get());
    good_ = std::make_unique<LastKnownGood>(state_, files_.get(), &clock_);
    loader_options_.crash_guard = guard_.get();
    loader_ = std::make_unique<CheckpointLoader>(files_.get(), loader_options_,
                                                 &device_, &metrics_);
    options_.directory = folder_.path();
    watcher_ = std::make_unique<CheckpointWatcher>(
        options_, CheckpointWatcher::Parts{files_.get(), &clock_, loader_.get(),
                                           &device_, &recovery_, holder_.get(),
                                           &reaper_, history_.get(), &metrics_,
                                           guard_.get(), good_.get()});
  }
  uint64_t Start() {
    Restart();
    NEUMF_EXPECT_OK(watcher_->LoadFirst());
    return Served();
  }
  uint64_t Served() const {
    const auto snapshot = holder_->Get();
    return snapshot == nullptr ? 0 : snapshot->version;
  }
  uint64_t Poll() {
    watcher_->PollOnce();
    return Served();
  }
  absl::Status LoadByName(uint64_t version) {
    absl::Status status = absl::UnknownError("not answered");
    VersionRequest request;
    request.kind = VersionRequest::Kind::kLoad;
    request.version = version;
    request.answer = [&](const absl::StatusOr<VersionAnswer>& answer) {
      status = answer.status();
    };
    watcher_->Request(std::move(request));
    Poll();
    return status;
  }

  // Processes that began to load the file and ended.
  void CrashOn(uint64_t version, int times) {
    const auto reader = CheckpointReader::Open(
        *files_, folder_.File(version).path, CheckpointReader::Options());
    NEUMF_ASSERT_OK(reader.status());
    for (int i = 0; i < times; ++i) {
      CrashGuard(state_, files_.get()).Begin((*reader)->info().digest);
    }
  }
  std::string StateText(absl::string_view name) {
    return ReadWholeFile(*files_, JoinPath(state_, name), 1000).value_or("");
  }
  void WritePolicyText(const std::string& text) {
    NEUMF_ASSERT_OK(WriteFileAtomically(
        *files_, JoinPath(folder_.path(), kServingPolicyFile), text));
  }

  CheckpointFolder folder_;
  const TempDirectory root_;
  std::string state_ = root_.Path("state");
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  FakeClock clock_;
  ServerMetrics metrics_;
  Reaper reaper_;
  ScoringDevice device_{{}, /*uses_gpu=*/false, &metrics_, [] {}};
  DeviceRecovery recovery_{{}, &clock_, &device_};
  CheckpointLoader::Options loader_options_;
  CheckpointWatcher::Options options_;
  std::unique_ptr<SnapshotHolder> holder_;
  std::unique_ptr<VersionHistory> history_;
  std::unique_ptr<CrashGuard> guard_;
  std::unique_ptr<LastKnownGood> good_;
  std::unique_ptr<CheckpointLoader> loader_;
  std::unique_ptr<CheckpointWatcher> watcher_;
};

TEST_F(StartOrderTest, WhatServedForAMinuteGoesBeforeOtherOlderVersions) {
  for (const uint64_t version : {1, 2}) folder_.Publish(version);
  EXPECT_EQ(Start(), 2U);
  clock_.Advance(absl::Minutes(1));
  Poll();
  EXPECT_THAT(StateText("last_known_good"), StartsWith("2 "));
  for (const uint64_t version : {3, 4, 5}) folder_.Publish(version);
  folder_.FlipLastByte(5);
  EXPECT_EQ(Start(), 2U);
  EXPECT_EQ(Poll(), 4U);
}

TEST_F(StartOrderTest, TheLargestAndWhatIsPinnedGoBeforeTheLastKnownGood) {
  for (const uint64_t version : {1, 2, 3}) folder_.Publish(version);
  NEUMF_ASSERT_OK(files_->CreateDirectories(state_));
  NEUMF_ASSERT_OK(
      WriteFileAtomically(*files_, state_ + "/last_known_good", "2 abc\n"));
  EXPECT_EQ(Start(), 3U);
  WritePolicyText(R"({"serve": 1})");
  EXPECT_EQ(Start(), 1U);
}

TEST_F(StartOrderTest, WithABrokenPolicyOnlyTheLastKnownGoodVersionIsSafe) {
  for (const uint64_t version : {1, 2, 3}) folder_.Publish(version);
  NEUMF_ASSERT_OK(files_->CreateDirectories(state_));
  NEUMF_ASSERT_OK(
      WriteFileAtomically(*files_, state_ + "/last_known_good", "2 abc\n"));
  WritePolicyText(R"({"refuse": [3)");
  EXPECT_EQ(Start(), 2U);
  folder_.Publish(4);
  EXPECT_EQ(Poll(), 2U);
  WritePolicyText(R"({"refuse": [3, 4]})");
  EXPECT_EQ(Poll(), 2U);
  WritePolicyText(R"({"refuse": [3]})");
  EXPECT_EQ(Poll(), 4U);
  WritePolicyText("{");  // nobody takes back what was understood before
  folder_.Publish(5);
  EXPECT_EQ(Poll(), 5U);
}

TEST_F(StartOrderTest, WithABrokenPolicyAndNoGoodVersionNothingIsChosen) {
  folder_.Publish(1);
  WritePolicyText(R"({"refuse": 1})");
  Restart();
  EXPECT_THAT(watcher_->LoadFirst(),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr(folder_.path()),
                             HasSubstr("serving.json: refuse must be a list"),
                             HasSubstr("--state_dir"))));
  EXPECT_EQ(Poll(), 0U);
  EXPECT_TRUE(history_->List().empty());
  WritePolicyText("{}");
  EXPECT_EQ(Poll(), 1U);
}

TEST_F(StartOrderTest, ALoadByNameDecidesWhereThePolicyIsBroken) {
  folder_.Publish(1);
  folder_.Publish(2);
  WritePolicyText("{");
  EXPECT_EQ(Poll(), 0U);
  NEUMF_EXPECT_OK(LoadByName(1));
  EXPECT_EQ(Poll(), 1U);
}

TEST_F(StartOrderTest, WhatEndedTwoProcessesIsSkippedAndShown) {
  folder_.Publish(1);
  folder_.Publish(2);
  CrashOn(2, 2);
  EXPECT_EQ(Start(), 1U);
  EXPECT_EQ(Poll(), 1U);
  EXPECT_EQ(ReadMetric(metrics_, "neumf_reload_total",
                       {{"result", "crashed_loading"}}),
            1);
  const v1::ModelVersion refused = history_->List().back();
  EXPECT_EQ(refused.state(), v1::MODEL_STATE_REFUSED);
  EXPECT_THAT(refused.reason(), HasSubstr("ended twice"));
  EXPECT_EQ(Start(), 1U);
}

TEST_F(StartOrderTest, WhatEndedTwoProcessesIsTriedAgainByName) {
  folder_.Publish(1);
  folder_.Publish(2);
  CrashOn(2, 2);
  EXPECT_EQ(Start(), 1U);
  NEUMF_EXPECT_OK(LoadByName(2));
  EXPECT_EQ(Served(), 2U);
  EXPECT_EQ(Start(), 2U);
}

TEST_F(StartOrderTest, WhatEndedTwoProcessesIsTriedAgainWhenItChanges) {
  folder_.Publish(1);
  folder_.Publish(2);
  CrashOn(2, 2);
  EXPECT_EQ(Start(), 1U);
  Manifest manifest;
  manifest.created_at = "2026-01-01T00:00:00Z";
  folder_.Publish(2, manifest);
  EXPECT_EQ(Poll(), 2U);
}

TEST_F(StartOrderTest, ALoadIsWrittenDownWhileItLasts) {
  std::string text;
  loader_options_.available_memory = [&] {
    text = StateText("unfinished_loads");
    return FindAvailableMemory();
  };
  folder_.Publish(1);
  EXPECT_EQ(Start(), 1U);
  EXPECT_EQ(text, holder_->Get()->digest + " 1\n");
  EXPECT_EQ(StateText("unfinished_loads"), "");
}

TEST_F(StartOrderTest, ServesWithoutAStateDirectoryThatCanBeWritten) {
  folder_.Overwrite(9, "a file");
  state_ = folder_.File(9).path + "/state";
  folder_.Publish(1);
  EXPECT_EQ(Start(), 1U);
  clock_.Advance(absl::Minutes(1));
  folder_.Publish(10);
  EXPECT_EQ(Poll(), 10U);
  const std::string log = testing::internal::GetCapturedStderr();
  testing::internal::CaptureStderr();
  EXPECT_THAT(log, HasSubstr("event=state_file_failed file=unfinished_loads"));
}

TEST_F(StartOrderTest, AVersionThatIsFoundWaitsForItsTurnInTheFleet) {
  options_.reload_jitter = absl::Seconds(10);
  folder_.Publish(1);
  EXPECT_EQ(Start(), 1U);  // at once
  folder_.Publish(2);
  EXPECT_EQ(Poll(), 1U);
  folder_.Publish(3);
  folder_.FlipLastByte(3);
  EXPECT_EQ(Poll(), 1U);
  clock_.Advance(absl::Seconds(10));
  EXPECT_EQ(Poll(), 2U);
}

TEST_F(StartOrderTest, AVersionThatIsGoneLeavesItsTurnToNobody) {
  options_.reload_jitter = absl::Seconds(10);
  folder_.Publish(1);
  EXPECT_EQ(Start(), 1U);
  folder_.Publish(2);
  EXPECT_EQ(Poll(), 1U);
  folder_.Remove(2);
  clock_.Advance(absl::Seconds(10));
  EXPECT_EQ(Poll(), 1U);
  folder_.Publish(3);
  EXPECT_EQ(Poll(), 1U);
  clock_.Advance(absl::Seconds(10));
  EXPECT_EQ(Poll(), 3U);
}

TEST_F(StartOrderTest, WhatSomebodyAsksForDoesNotWait) {
  options_.reload_jitter = absl::Seconds(10);
  folder_.Publish(1);
  EXPECT_EQ(Start(), 1U);
  for (const uint64_t version : {2, 3, 4}) folder_.Publish(version);
  NEUMF_EXPECT_OK(LoadByName(2));
  EXPECT_EQ(Served(), 2U);
  WritePolicyText(R"({"serve": 3})");
  EXPECT_EQ(Poll(), 3U);
  // What is warm takes its place at once, and a newer one has its turn.
  WritePolicyText(R"({"refuse": [3]})");
  EXPECT_EQ(Poll(), 2U);
  clock_.Advance(absl::Seconds(10));
  EXPECT_EQ(Poll(), 4U);
}

}  // namespace
}  // namespace neumf
