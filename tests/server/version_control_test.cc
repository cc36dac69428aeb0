// What operators ask of the CheckpointWatcher, and what serving.json does.

#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "checkpoint/serving_policy.h"
#include "server/checkpoint_watcher.h"
#include "tests/server/metric_reader.h"
#include "tests/server/test_checkpoint.h"
#include "tests/support/eventually.h"
#include "tests/support/fake_clock.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Kind = VersionRequest::Kind;

// Does something when a checkpoint is opened, and may be read-only.
class ScriptedFileSystem : public FaultyFileSystem {
 public:
  using FaultyFileSystem::FaultyFileSystem;
  std::function<void()> on_open = [] {};
  bool read_only = false;

  absl::StatusOr<std::unique_ptr<ReadableFile>> OpenForRead(
      absl::string_view path) override {
    if (path.find(kServingPolicyFile) == absl::string_view::npos) on_open();
    return FaultyFileSystem::OpenForRead(path);
  }
  absl::StatusOr<std::unique_ptr<WritableFile>> CreateNew(
      absl::string_view path) override {
    if (read_only) return absl::PermissionDeniedError("read-only");
    return FaultyFileSystem::CreateNew(path);
  }
};

// A request that was made, and the answer that it got.
class Asked {
 public:
  VersionRequest Make(Kind kind, uint64_t version) {
    VersionRequest request;
    request.kind = kind;
    request.version = version;
    request.caller = "ops";
    request.is_wanted = [this] { return is_wanted.load(); };
    request.answer = [this](absl::StatusOr<VersionAnswer> answer) {
      MutexLock lock(&mutex_);
      EXPECT_FALSE(answer_.has_value()) << "answered twice";
      answer_ = std::move(answer);
    };
    return request;
  }

  bool is_answered() const {
    MutexLock lock(&mutex_);
    return answer_.has_value();
  }
  // REQUIRES: it is answered.
  absl::StatusOr<VersionAnswer> answer() const {
    MutexLock lock(&mutex_);
    return *answer_;
  }
  absl::Status status() const { return answer().status(); }

  std::atomic<bool> is_wanted{true};

 private:
  mutable Mutex mutex_;
  std::optional<absl::StatusOr<VersionAnswer>> answer_ ABSL_GUARDED_BY(mutex_);
};

class VersionControlTest : public testing::Test {
 protected:
  VersionControlTest() {
    loader_options_.available_memory = [this] {
      AvailableMemory memory;
      memory.bytes = std::exchange(next_memory_, kUnlimited);
      return memory;
    };
    Restart();
    testing::internal::CaptureStderr();
  }
  ~VersionControlTest() override {
    watcher_.reset();
    testing::internal::GetCapturedStderr();
  }

  // A daemon that has just started.
  void Restart(size_t keep_versions = 2) {
    watcher_.reset();
    holder_ = std::make_unique<SnapshotHolder>();
    history_ = std::make_unique<VersionHistory>();
    loader_ = std::make_unique<CheckpointLoader>(&files_, loader_options_,
                                                 &device_, &metrics_);
    CheckpointWatcher::Options options;
    options.directory = folder_.path();
    options.keep_versions = keep_versions;
    watcher_ = std::make_unique<CheckpointWatcher>(
        options, CheckpointWatcher::Parts{&files_, &clock_, loader_.get(),
                                          &device_, &recovery_, holder_.get(),
                                          &reaper_, history_.get(), &metrics_});
  }
  // Publishes and serves versions up to `last`, one after the other.
  void ServeUpTo(uint64_t last) {
    for (uint64_t version = 1; version <= last; ++version) {
      folder_.Publish(version);
      Poll();
    }
    ASSERT_EQ(Served(), last);
  }
  void Poll() { watcher_->PollOnce(); }
  uint64_t Served() const {
    const auto snapshot = holder_->Get();
    return snapshot == nullptr ? 0 : snapshot->version;
  }

  void Ask(Asked* asked, Kind kind, uint64_t version = 0) {
    watcher_->Request(asked->Make(kind, version));
  }
  // Asks, and serves the request.
  absl::StatusOr<VersionAnswer> Get(Kind kind, uint64_t version = 0) {
    Asked asked;
    Ask(&asked, kind, version);
    Poll();
    return asked.answer();
  }
  // While the next checkpoint is loaded.
  void BesideTheNextLoad(std::function<void()> act) {
    files_.on_open = [this, act = std::move(act)] {
      const std::function<void()> once = act;  // it goes with its function
      files_.on_open = [] {};
      once();
    };
  }

  std::string PolicyText() {
    return ReadWholeFile(*posix_, JoinPath(folder_.path(), kServingPolicyFile),
                         kMaxServingPolicyBytes)
        .value_or("none");
  }
  void WritePolicyText(const std::string& text) {
    NEUMF_ASSERT_OK(WriteFileAtomically(
        *posix_, JoinPath(folder_.path(), kServingPolicyFile), text));
  }
  // "2 SERVING", "1 STANDBY", ..., newest first.
  std::vector<std::string> States() const {
    std::vector<std::string> states;
    for (const v1::ModelVersion& version : history_->List()) {
      states.push_back(version.version() + " " +
                       v1::ModelState_Name(version.state()).substr(12));
    }
    return states;
  }
  double Reloads(const std::string& result) {
    return ReadMetric(metrics_, "neumf_reload_total", {{"result", result}});
  }
  static std::string Log() {
    std::string log = testing::internal::GetCapturedStderr();
    testing::internal::CaptureStderr();
    return log;
  }

  CheckpointFolder folder_;
  const std::unique_ptr<FileSystem> posix_ = MakePosixFileSystem();
  ScriptedFileSystem files_{posix_.get()};
  FakeClock clock_;
  ServerMetrics metrics_;
  Reaper reaper_;
  static constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();
  uint64_t next_memory_ = kUnlimited;  // what is found once
  CheckpointLoader::Options loader_options_;
  ScoringDevice device_{{}, /*uses_gpu=*/false, &metrics_, [] {}};
  DeviceRecovery recovery_{{}, &clock_, &device_};
  std::unique_ptr<SnapshotHolder> holder_;
  std::unique_ptr<VersionHistory> history_;
  std::unique_ptr<CheckpointLoader> loader_;
  std::unique_ptr<CheckpointWatcher> watcher_;
};

TEST_F(VersionControlTest, KeepsAsManyVersionsAsItIsToldTo) {
  ServeUpTo(3);
  EXPECT_THAT(States(), ElementsAre("3 SERVING", "2 STANDBY", "1 RETIRED"));
  Restart(/*keep_versions=*/1);
  Poll();
  folder_.Publish(4);
  Poll();
  EXPECT_THAT(States(), ElementsAre("4 SERVING", "3 RETIRED"));
}

TEST_F(VersionControlTest, ARollbackServesTheVeryModelThatWasServedBefore) {
  ServeUpTo(1);
  const auto first = holder_->Get();
  ServeUpTo(2);
  const auto answer = Get(Kind::kRollback);
  NEUMF_ASSERT_OK(answer.status());
  EXPECT_EQ(answer->version.version(), "1");
  EXPECT_EQ(answer->version.state(), v1::MODEL_STATE_SERVING);
  EXPECT_EQ(answer->unsaved_reason, "");
  EXPECT_EQ(holder_->Get(), first);
  EXPECT_THAT(States(), ElementsAre("2 RETIRED", "1 SERVING"));
  EXPECT_EQ(Reloads("rolled_back"), 1);
  EXPECT_EQ(Reloads("ok"), 2);
  EXPECT_THAT(Log(), AllOf(HasSubstr("event=rollback from=2 to=1 warm=1 "
                                     "caller=ops"),
                           HasSubstr("event=policy_changed serve=largest "
                                     "refuse=2 caller=ops written=1")));
}

TEST_F(VersionControlTest, ARollbackHoldsOverPollsRestartsAndReplicas) {
  ServeUpTo(2);
  NEUMF_ASSERT_OK(Get(Kind::kRollback).status());
  EXPECT_EQ(PolicyText(), "{\"serve\": \"largest\", \"refuse\": [2]}\n");
  Poll();
  EXPECT_EQ(Served(), 1U);
  Restart();
  Poll();
  EXPECT_EQ(Served(), 1U);
  folder_.Publish(3);
  Poll();
  EXPECT_EQ(Served(), 3U);
}

TEST_F(VersionControlTest, ADaemonLeavesWhatAnotherOneHasRolledBack) {
  ServeUpTo(2);
  WritePolicyText("{\"refuse\": [2]}");
  Poll();
  EXPECT_EQ(Served(), 1U);
  EXPECT_EQ(Reloads("ok"), 2);  // it was warm
  EXPECT_THAT(States(), ElementsAre("2 RETIRED", "1 SERVING"));
}

TEST_F(VersionControlTest, ARollbackWithoutAWarmVersionReadsTheOneBefore) {
  ServeUpTo(3);
  Restart(/*keep_versions=*/1);
  Poll();
  folder_.FlipLastByte(2);
  const auto answer = Get(Kind::kRollback);
  NEUMF_ASSERT_OK(answer.status());
  EXPECT_EQ(answer->version.version(), "1");
  EXPECT_EQ(PolicyText(), "{\"serve\": \"largest\", \"refuse\": [2, 3]}\n");
  EXPECT_THAT(Get(Kind::kRollback).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("no earlier version")));
  EXPECT_EQ(Served(), 1U);
}

TEST_F(VersionControlTest, ThereIsNothingToRollBackToBeforeTheFirstModel) {
  EXPECT_THAT(Get(Kind::kRollback).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, testing::_));
}

TEST_F(VersionControlTest, ARollbackHoldsWhereItCannotBeWritten) {
  ServeUpTo(2);
  files_.read_only = true;
  const auto answer = Get(Kind::kRollback);
  NEUMF_ASSERT_OK(answer.status());
  EXPECT_THAT(answer->unsaved_reason,
              AllOf(HasSubstr("serving.json could not be written"),
                    Not(HasSubstr(folder_.path()))));
  Poll();
  EXPECT_EQ(Served(), 1U);
  // Another change of the file does not bring the version back, a pin does.
  WritePolicyText("{\"refuse\": [9]}");
  Poll();
  EXPECT_EQ(Served(), 1U);
  WritePolicyText("{\"serve\": 2}");
  Poll();
  EXPECT_EQ(Served(), 2U);
}

TEST_F(VersionControlTest, ALoadByNamePinsTheVersion) {
  ServeUpTo(2);
  NEUMF_ASSERT_OK(Get(Kind::kLoad, 1).status());
  EXPECT_EQ(Served(), 1U);
  EXPECT_EQ(PolicyText(), "{\"serve\": 1, \"refuse\": []}\n");
  EXPECT_THAT(States(), ElementsAre("2 STANDBY", "1 SERVING"));
  folder_.Publish(3);
  Poll();
  EXPECT_EQ(Served(), 1U);
  EXPECT_THAT(Log(), HasSubstr("event=load_requested version=1 from=2 "
                               "caller=ops"));
  NEUMF_ASSERT_OK(Get(Kind::kLoadLargest).status());
  EXPECT_EQ(Served(), 3U);
}

TEST_F(VersionControlTest, ALoadByNameTakesARefusalBack) {
  ServeUpTo(2);
  NEUMF_ASSERT_OK(Get(Kind::kRollback).status());
  NEUMF_ASSERT_OK(Get(Kind::kLoad, 2).status());
  EXPECT_EQ(Served(), 2U);
  EXPECT_EQ(PolicyText(), "{\"serve\": 2, \"refuse\": []}\n");
}

TEST_F(VersionControlTest, ARollbackFromAPinnedVersionPinsTheOneBefore) {
  ServeUpTo(3);
  NEUMF_ASSERT_OK(Get(Kind::kLoad, 1).status());
  NEUMF_ASSERT_OK(Get(Kind::kRollback).status());
  EXPECT_EQ(Served(), 3U);
  EXPECT_EQ(PolicyText(), "{\"serve\": 3, \"refuse\": [1]}\n");
}

TEST_F(VersionControlTest, ALoadThatFailsChangesNothing) {
  ServeUpTo(1);
  EXPECT_THAT(Get(Kind::kLoad, 7).status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("version 7")));
  folder_.Publish(2);
  folder_.FlipLastByte(2);
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(Get(Kind::kLoad, 2).status(),
                StatusIs(absl::StatusCode::kDataLoss,
                         AllOf(HasSubstr("version 2"),
                               Not(HasSubstr(folder_.path())))));
  }
  folder_.Overwrite(2, "junk");
  EXPECT_THAT(Get(Kind::kLoad, 2).status(),
              StatusIs(absl::StatusCode::kDataLoss, testing::_));
  EXPECT_EQ(Served(), 1U);
  EXPECT_EQ(PolicyText(), "none");
}

TEST_F(VersionControlTest, ABadPolicyChangesNothingAndIsToldOnce) {
  ServeUpTo(2);
  WritePolicyText("{\"serve\": 1}");
  Poll();
  ASSERT_EQ(Served(), 1U);
  Log();
  WritePolicyText("{\"serve\": 2, \"refuse\": \"all\"}");
  Poll();
  Poll();
  EXPECT_EQ(Served(), 1U);
  const std::string log = Log();
  const size_t told = log.find("event=config_refused file=serving_policy");
  ASSERT_NE(told, std::string::npos);
  EXPECT_EQ(log.find("event=config_refused", told + 1), std::string::npos);
  EXPECT_EQ(ReadMetric(metrics_, "neumf_config_reload_failures_total",
                       {{"file", "serving_policy"}}),
            1);
}

TEST_F(VersionControlTest, AChangeLeavesAPolicyThatCannotBeReadAsItIs) {
  const std::string broken = R"({"refuse": [9], "refuse": [8]})";
  ServeUpTo(2);
  WritePolicyText(broken);
  const auto answer = Get(Kind::kRollback);
  NEUMF_ASSERT_OK(answer.status());
  EXPECT_THAT(answer->unsaved_reason,
              AllOf(HasSubstr("serving.json cannot be read (DATA_LOSS)"),
                    Not(HasSubstr(folder_.path()))));
  Poll();
  EXPECT_EQ(Served(), 1U);
  EXPECT_EQ(PolicyText(), broken);
  EXPECT_THAT(Log(), HasSubstr("refuse=2 caller=ops written=0"));
  // Who mends it is obeyed; what was rolled back meanwhile stays so, for all.
  WritePolicyText(R"({"refuse": [9]})");
  Poll();
  EXPECT_EQ(Served(), 1U);
  EXPECT_EQ(PolicyText(), "{\"serve\": \"largest\", \"refuse\": [2, 9]}\n");
}

// Which ones it may not take is not known.
TEST_F(VersionControlTest, TheLargestIsNotLoadedUnderAPolicyThatCannotBeRead) {
  ServeUpTo(2);
  NEUMF_ASSERT_OK(Get(Kind::kLoad, 1).status());
  WritePolicyText("{");
  EXPECT_THAT(Get(Kind::kLoadLargest).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("serving.json cannot be read"),
                             HasSubstr("by its number"))));
  Poll();
  EXPECT_EQ(Served(), 1U);
}

// A slip of the pen ends nothing.
TEST_F(VersionControlTest, ALoadOfWhatIsNotThereLeavesTheOneThatRuns) {
  ServeUpTo(2);
  folder_.Publish(3);
  Asked load;
  BesideTheNextLoad([&] {
    Ask(&load, Kind::kLoad, 99);
    EXPECT_TRUE(Eventually([&] { return load.is_answered(); }));
  });
  watcher_->PollOnce();
  EXPECT_THAT(load.status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("version 99")));
  EXPECT_EQ(Served(), 3U);
  EXPECT_THAT(Log(), Not(HasSubstr("event=checkpoint_given_up")));
}

TEST_F(VersionControlTest, AChangeIsWrittenWhenThePolicyCanBeReadAgain) {
  const std::string before = R"({"refuse": [9]})";
  ServeUpTo(2);
  WritePolicyText(before);
  Poll();
  WritePolicyText("{");
  NEUMF_ASSERT_OK(Get(Kind::kLoad, 1).status());
  EXPECT_EQ(PolicyText(), "{");
  WritePolicyText(before);
  Poll();
  EXPECT_EQ(Served(), 1U);
  EXPECT_EQ(PolicyText(), "{\"serve\": 1, \"refuse\": [9]}\n");
}

TEST_F(VersionControlTest, ARefusalThatIsTakenBackInTheFileIsNotPutThereAgain) {
  ServeUpTo(2);
  WritePolicyText(R"({"refuse": [7]})");
  Poll();
  WritePolicyText("{");
  NEUMF_ASSERT_OK(Get(Kind::kRollback).status());
  WritePolicyText("{}");
  Poll();
  EXPECT_EQ(PolicyText(), "{\"serve\": \"largest\", \"refuse\": [2]}\n");
}

// The load takes its time, and nobody looks at the file meanwhile.
TEST_F(VersionControlTest, ALoadByNameKeepsWhatWasRefusedMeanwhile) {
  ServeUpTo(2);
  folder_.Publish(3);
  BesideTheNextLoad([&] { WritePolicyText("{\"refuse\": [1]}"); });
  NEUMF_ASSERT_OK(Get(Kind::kLoad, 3).status());
  EXPECT_EQ(PolicyText(), "{\"serve\": 3, \"refuse\": [1]}\n");
}

TEST_F(VersionControlTest, ARollbackThatReadsKeepsWhatWasRefusedMeanwhile) {
  ServeUpTo(3);
  Restart(/*keep_versions=*/1);
  Poll();
  BesideTheNextLoad([&] { WritePolicyText("{\"refuse\": [1]}"); });
  NEUMF_ASSERT_OK(Get(Kind::kRollback).status());
  EXPECT_EQ(Served(), 2U);
  EXPECT_EQ(PolicyText(), "{\"serve\": \"largest\", \"refuse\": [1, 3]}\n");
}

TEST_F(VersionControlTest, ARollbackDoesNotHoldToWhatWasRefusedMeanwhile) {
  ServeUpTo(3);
  Restart(/*keep_versions=*/1);
  Poll();
  BesideTheNextLoad([&] { WritePolicyText("{\"refuse\": [2]}"); });
  NEUMF_ASSERT_OK(Get(Kind::kRollback).status());
  EXPECT_EQ(Served(), 1U);
  EXPECT_EQ(PolicyText(), "{\"serve\": \"largest\", \"refuse\": [2, 3]}\n");
}

TEST_F(VersionControlTest, ARollbackBesideALoadComesAtOnce) {
  ServeUpTo(2);
  folder_.Publish(3);
  Asked rollback;
  BesideTheNextLoad([&] {
    Ask(&rollback, Kind::kRollback);
    EXPECT_TRUE(Eventually([&] { return rollback.is_answered(); }));
    EXPECT_EQ(Served(), 1U);
  });
  watcher_->PollOnce();
  NEUMF_EXPECT_OK(rollback.status());
  EXPECT_THAT(Log(), HasSubstr("event=checkpoint_given_up version=3"));
}

TEST_F(VersionControlTest, ARollbackEndsALoadThatSomebodyAskedFor) {
  ServeUpTo(2);
  folder_.Publish(3);
  Asked load;
  Asked rollback;
  BesideTheNextLoad([&] {
    Ask(&rollback, Kind::kRollback);
    EXPECT_TRUE(Eventually([&] { return rollback.is_answered(); }));
  });
  Ask(&load, Kind::kLoad, 3);
  Poll();
  NEUMF_EXPECT_OK(rollback.status());
  EXPECT_THAT(load.status(), StatusIs(absl::StatusCode::kAborted, testing::_));
}

TEST_F(VersionControlTest, ASecondLoadByNameIsRefusedBesideTheFirst) {
  ServeUpTo(1);
  folder_.Publish(2);
  folder_.Publish(3);
  Asked first;
  Asked same;
  Asked other;
  BesideTheNextLoad([&] {
    Ask(&same, Kind::kLoad, 2);
    Ask(&other, Kind::kLoad, 3);
    EXPECT_TRUE(Eventually([&] { return other.is_answered(); }));
  });
  Ask(&first, Kind::kLoad, 2);
  Poll();
  NEUMF_EXPECT_OK(first.status());
  NEUMF_EXPECT_OK(same.status());
  EXPECT_THAT(other.status(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                       HasSubstr("version 2")));
  EXPECT_EQ(Served(), 2U);
}

TEST_F(VersionControlTest, ALoadByNameGoesBeforeOneThatAPollFound) {
  ServeUpTo(1);
  folder_.Publish(2);
  folder_.Publish(3);
  Asked load;
  BesideTheNextLoad([&] {
    Ask(&load, Kind::kLoad, 2);
    // Its turn comes when this load has ended, so nothing answers it yet.
  });
  Poll();
  NEUMF_EXPECT_OK(load.status());
  EXPECT_EQ(Served(), 2U);
}

TEST_F(VersionControlTest, ALoadWhoseCallerLeavesIsGivenUp) {
  ServeUpTo(1);
  folder_.Publish(2);
  WritePolicyText("{\"serve\": 1}");
  Asked load;
  BesideTheNextLoad([&] { load.is_wanted = false; });
  Ask(&load, Kind::kLoad, 2);
  Poll();
  EXPECT_FALSE(load.status().ok());
  EXPECT_EQ(Served(), 1U);
  EXPECT_EQ(PolicyText(), "{\"serve\": 1}");
}

TEST_F(VersionControlTest, AStopAnswersWhatWaitsAndWhatRuns) {
  ServeUpTo(1);
  folder_.Publish(2);
  Asked running;
  Asked waiting;
  BesideTheNextLoad([&] {
    Ask(&waiting, Kind::kLoad, 2);
    watcher_->RequestStop();
  });
  Ask(&running, Kind::kLoad, 2);
  Poll();
  Asked late;
  Ask(&late, Kind::kRollback);
  for (const Asked* asked : {&running, &waiting, &late}) {
    EXPECT_THAT(asked->status(),
                StatusIs(absl::StatusCode::kUnavailable, testing::_));
  }
  EXPECT_EQ(Served(), 1U);
}

TEST_F(VersionControlTest, AWarmVersionGivesWayToALoadThatNeedsItsMemory) {
  ServeUpTo(2);
  folder_.Publish(3);
  next_memory_ = 0;
  Poll();
  EXPECT_EQ(Served(), 3U);
  EXPECT_EQ(Reloads("no_memory"), 0);
  EXPECT_THAT(Log(), HasSubstr("event=standby_dropped version=3"));
  EXPECT_THAT(States(), ElementsAre("3 SERVING", "2 STANDBY", "1 RETIRED"));
}

TEST_F(VersionControlTest, WithoutRoomForTwoTheNewOneIsRefused) {
  ServeUpTo(1);
  folder_.Publish(2);
  next_memory_ = 0;
  Poll();
  EXPECT_EQ(Served(), 1U);
  EXPECT_EQ(Reloads("no_memory"), 1);
}

TEST_F(VersionControlTest, RequestsAreServedByTheThreadThatPolls) {
  folder_.Publish(1);
  watcher_->Start();
  Asked load;
  Ask(&load, Kind::kLoad, 1);
  ASSERT_TRUE(Eventually([&] { return load.is_answered(); }));
  NEUMF_EXPECT_OK(load.status());
  EXPECT_EQ(Served(), 1U);
}

}  // namespace
}  // namespace neumf
