// --reload_mode=unload_first: what is served goes before what memory has no
// room for beside it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Kind = VersionRequest::Kind;

constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

// Is asked whenever a checkpoint is opened.
class AskedFileSystem : public FaultyFileSystem {
 public:
  using FaultyFileSystem::FaultyFileSystem;
  static absl::Status Allow(absl::string_view /*path*/) {
    return absl::OkStatus();
  }
  std::function<absl::Status(absl::string_view)> on_open = Allow;

  absl::StatusOr<std::unique_ptr<ReadableFile>> OpenForRead(
      absl::string_view path) override {
    if (path.find(kServingPolicyFile) == absl::string_view::npos) {
      const absl::Status allowed = on_open(path);
      if (!allowed.ok()) return allowed;
    }
    return FaultyFileSystem::OpenForRead(path);
  }
};

// The answer that a request got, and what was served then.
struct Answer {
  std::atomic<bool> is_wanted{true};
  std::atomic<bool> is_there{false};
  absl::Status status;
  uint64_t served = 0;
};

class UnloadFirstTest : public testing::Test {
 protected:
  UnloadFirstTest() {
    loader_options_.available_memory = [this] {
      on_memory_();
      AvailableMemory memory;
      memory.bytes = std::exchange(next_memory_, kUnlimited);
      return memory;
    };
    Start(/*keep_versions=*/1);
    testing::internal::CaptureStderr();
  }
  ~UnloadFirstTest() override {
    watcher_.reset();
    testing::internal::GetCapturedStderr();
  }

  void Start(size_t keep_versions) {
    loader_ = std::make_unique<CheckpointLoader>(&files_, loader_options_,
                                                 &device_, &metrics_);
    CheckpointWatcher::Options options;
    options.directory = folder_.path();
    options.keep_versions = keep_versions;
    options.may_unload = true;
    watcher_ = std::make_unique<CheckpointWatcher>(
        options, CheckpointWatcher::Parts{&files_, &clock_, loader_.get(),
                                          &device_, &recovery_, &holder_,
                                          &reaper_, &history_, &metrics_});
  }
  void Serve(uint64_t version) {
    folder_.Publish(version);
    Poll();
    ASSERT_EQ(Served(), version);
  }
  void Poll() { watcher_->PollOnce(); }
  // There is no room beside what is served.
  void PollWithoutRoom() {
    next_memory_ = 0;
    Poll();
  }
  uint64_t Served() const {
    const auto snapshot = holder_.Get();
    return snapshot == nullptr ? 0 : snapshot->version;
  }

  void Ask(Answer* answer, Kind kind, uint64_t version = 0) {
    VersionRequest request;
    request.kind = kind;
    request.version = version;
    request.is_wanted = [answer] { return answer->is_wanted.load(); };
    request.answer = [this, answer](const absl::StatusOr<VersionAnswer>& got) {
      answer->status = got.status();
      answer->served = Served();
      answer->is_there = true;
    };
    watcher_->Request(std::move(request));
  }
  // Returns when the load that somebody asked for is told to end.
  void RollBackBeside(Answer* rollback) {
    Ask(rollback, Kind::kRollback);
    Answer other;  // requests are met in their order, and this is refused
    Ask(&other, Kind::kLoad, 99);
    EXPECT_TRUE(Eventually([&] { return other.is_there.load(); }));
  }
  // Calls `act` when version 2 is read and nothing is served.
  void WhileUnloaded(std::function<absl::Status()> act) {
    files_.on_open = [this, act = std::move(act)](absl::string_view path) {
      const bool is_due = path == folder_.File(2).path && Served() == 0;
      return is_due ? act() : absl::OkStatus();
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
  // "2 SERVING", "1 RETIRED", ..., newest first.
  std::vector<std::string> States() const {
    std::vector<std::string> states;
    for (const v1::ModelVersion& version : history_.List()) {
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
  AskedFileSystem files_{posix_.get()};
  FakeClock clock_;
  ServerMetrics metrics_;
  Reaper reaper_;
  uint64_t next_memory_ = kUnlimited;  // what is found once
  std::function<void()> on_memory_ = [] {};
  CheckpointLoader::Options loader_options_;
  ScoringDevice device_{{}, /*uses_gpu=*/false, &metrics_, [] {}};
  DeviceRecovery recovery_{{}, &clock_, &device_};
  SnapshotHolder holder_;
  VersionHistory history_;
  std::unique_ptr<CheckpointLoader> loader_;
  std::unique_ptr<CheckpointWatcher> watcher_;
};

TEST_F(UnloadFirstTest, NothingIsServedWhileTheNewVersionIsLoaded) {
  Serve(1);
  folder_.Publish(2);
  std::vector<uint64_t> served;
  std::vector<double> users;
  files_.on_open = [&](absl::string_view path) {
    if (path != folder_.File(2).path) return absl::OkStatus();
    served.push_back(Served());
    users.push_back(ReadMetric(metrics_, "neumf_known_users"));
    return absl::OkStatus();
  };
  PollWithoutRoom();
  EXPECT_THAT(served, ElementsAre(1, 0));
  EXPECT_THAT(users, ElementsAre(7, 0));
  EXPECT_EQ(Served(), 2U);
  EXPECT_THAT(Log(), HasSubstr("event=checkpoint_unloaded version=1 for=2"));
  EXPECT_THAT(States(), ElementsAre("2 SERVING", "1 RETIRED"));
}

TEST_F(UnloadFirstTest, WhatFitsBesideTheServedVersionIsLoadedBesideIt) {
  Serve(1);
  Serve(2);
  EXPECT_THAT(Log(), Not(HasSubstr("event=checkpoint_unloaded")));
}

TEST_F(UnloadFirstTest, NothingIsUnloadedForWhatDoesNotFitAlone) {
  Serve(1);
  const auto first = holder_.Get();
  folder_.Publish(2);
  on_memory_ = [&] { next_memory_ = 0; };
  Poll();
  EXPECT_EQ(holder_.Get(), first);
  EXPECT_EQ(Reloads("no_memory"), 1);
}

TEST_F(UnloadFirstTest, NothingIsUnloadedThatCannotBeLoadedAgain) {
  Serve(1);
  const auto first = holder_.Get();
  folder_.Publish(2);
  folder_.Remove(1);
  PollWithoutRoom();
  EXPECT_EQ(holder_.Get(), first);
  EXPECT_THAT(history_.List().front().reason(), HasSubstr("version 1 stays"));
  Manifest changed;
  changed.model_kind = "neumf";
  folder_.Publish(1, changed);
  clock_.Advance(absl::Hours(1));
  PollWithoutRoom();
  EXPECT_EQ(holder_.Get(), first);
}

// As rsync and volumes that swap a link do.
TEST_F(UnloadFirstTest, ARenewedFileOfTheSameContentIsAWayBack) {
  Serve(1);
  folder_.Publish(1);
  folder_.Publish(2);
  PollWithoutRoom();
  EXPECT_EQ(Served(), 2U);
  EXPECT_THAT(Log(), HasSubstr("event=checkpoint_unloaded version=1 for=2"));
}

// Whatever else there is: it is what was good enough until then.
TEST_F(UnloadFirstTest, WhatWasUnloadedInVainServesAgain) {
  Serve(1);
  WritePolicyText("{\"serve\": 3}");
  folder_.Publish(2);
  folder_.Publish(3);
  folder_.FlipLastByte(3);
  PollWithoutRoom();
  EXPECT_EQ(Served(), 1U);
  EXPECT_EQ(Reloads("corrupt"), 1);
  EXPECT_EQ(Reloads("ok"), 2);
  EXPECT_THAT(States(), ElementsAre("1 SERVING", "3 REFUSED", "1 RETIRED"));
}

TEST_F(UnloadFirstTest, WhatWasUnloadedForACallerWhoLeavesServesAgain) {
  Serve(1);
  folder_.Publish(2);
  Answer load;
  WhileUnloaded([&] {
    load.is_wanted = false;
    return absl::OkStatus();
  });
  Ask(&load, Kind::kLoad, 2);
  PollWithoutRoom();
  EXPECT_FALSE(load.status.ok());
  EXPECT_EQ(load.served, 1U);
}

class FailedUnloadTest : public UnloadFirstTest {
 protected:
  void SetUp() override {
    Serve(1);
    folder_.Publish(2);
    WhileUnloaded([] { return absl::UnavailableError("the disk is gone"); });
    PollWithoutRoom();
    ASSERT_EQ(Reloads("io_error"), 1);
    ASSERT_EQ(Served(), 1U);
    files_.on_open = AskedFileSystem::Allow;
    clock_.Advance(absl::Hours(1));  // that passes, and is tried again
  }
};

TEST_F(FailedUnloadTest, IsNotRepeatedForTheSameFile) {
  const auto first = holder_.Get();
  for (int i = 0; i < 3; ++i) {
    PollWithoutRoom();
    EXPECT_EQ(next_memory_, kUnlimited);  // it was tried
    EXPECT_EQ(holder_.Get(), first);
    clock_.Advance(absl::Hours(1));
  }
}

TEST_F(FailedUnloadTest, IsRepeatedForAnotherFile) {
  PollWithoutRoom();
  folder_.Publish(2);
  PollWithoutRoom();
  EXPECT_EQ(Served(), 2U);
}

TEST_F(FailedUnloadTest, IsRepeatedForWhoAsksByName) {
  PollWithoutRoom();
  Answer load;
  Ask(&load, Kind::kLoad, 2);
  PollWithoutRoom();
  NEUMF_EXPECT_OK(load.status);
  EXPECT_EQ(Served(), 2U);
}

TEST_F(UnloadFirstTest, ARollbackMeanwhileBringsBackWhatWasUnloaded) {
  Serve(1);
  folder_.Publish(2);
  Answer load;
  Answer rollback;
  WhileUnloaded([&] {
    RollBackBeside(&rollback);
    return absl::OkStatus();
  });
  Ask(&load, Kind::kLoad, 2);
  PollWithoutRoom();
  EXPECT_THAT(load.status, StatusIs(absl::StatusCode::kAborted, testing::_));
  NEUMF_EXPECT_OK(rollback.status);
  EXPECT_EQ(rollback.served, 1U);
  EXPECT_EQ(PolicyText(), "{\"serve\": \"largest\", \"refuse\": [2]}\n");
  Poll();
  EXPECT_EQ(Served(), 1U);
}

TEST_F(UnloadFirstTest, ARollbackOnTheWayBackLeavesWhatFailed) {
  Serve(1);
  folder_.Publish(2);
  folder_.FlipLastByte(2);
  Answer rollback;
  files_.on_open = [&](absl::string_view path) {
    const bool is_way_back = path == folder_.File(1).path && Served() == 0;
    if (is_way_back) RollBackBeside(&rollback);
    return absl::OkStatus();
  };
  PollWithoutRoom();
  NEUMF_EXPECT_OK(rollback.status);
  EXPECT_EQ(rollback.served, 1U);
  EXPECT_EQ(Served(), 1U);
  EXPECT_EQ(PolicyText(), "{\"serve\": \"largest\", \"refuse\": [2]}\n");
}

TEST_F(UnloadFirstTest, ARollbackMeanwhileHoldsThoughItsCallerLeaves) {
  Serve(1);
  folder_.Publish(2);
  Answer rollback;
  WhileUnloaded([&] {
    RollBackBeside(&rollback);
    rollback.is_wanted = false;
    return absl::OkStatus();
  });
  PollWithoutRoom();
  EXPECT_EQ(Served(), 1U);
  EXPECT_EQ(PolicyText(), "{\"serve\": \"largest\", \"refuse\": [2]}\n");
}

TEST_F(UnloadFirstTest, ARollbackToWhatWasUnloadedHoldsThoughItsCallerLeaves) {
  Serve(1);
  folder_.Publish(2);
  PollWithoutRoom();
  ASSERT_EQ(Served(), 2U);
  Answer rollback;
  files_.on_open = [&](absl::string_view path) {
    if (path == folder_.File(1).path) rollback.is_wanted = false;
    return absl::OkStatus();
  };
  Ask(&rollback, Kind::kRollback);
  Poll();
  EXPECT_EQ(Served(), 1U);
  EXPECT_EQ(PolicyText(), "{\"serve\": \"largest\", \"refuse\": [2]}\n");
}

TEST_F(UnloadFirstTest, ALoadOfAnotherVersionComesAfterTheWayBack) {
  Serve(1);
  WritePolicyText("{\"serve\": 2}");
  folder_.Publish(2);
  folder_.Publish(3);
  Answer load;
  std::vector<uint64_t> served;
  files_.on_open = [&](absl::string_view path) {
    if (path == folder_.File(3).path) served.push_back(Served());
    if (path != folder_.File(2).path || Served() != 0) return absl::OkStatus();
    Ask(&load, Kind::kLoad, 3);
    Answer other;  // is met after it, and refused
    Ask(&other, Kind::kLoad, 99);
    EXPECT_TRUE(Eventually([&] { return other.is_there.load(); }));
    return absl::OkStatus();
  };
  PollWithoutRoom();
  NEUMF_EXPECT_OK(load.status);
  EXPECT_EQ(Served(), 3U);
  EXPECT_THAT(served, ElementsAre(1));
}

TEST_F(UnloadFirstTest, ALoadThatIsGivenUpUnloadsNothing) {
  Serve(1);
  WritePolicyText("{\"serve\": 1}");
  const auto first = holder_.Get();
  folder_.Publish(2);
  Answer load;
  Answer rollback;
  bool is_begun = false;
  on_memory_ = [&] {
    if (!std::exchange(is_begun, true)) RollBackBeside(&rollback);
  };
  Ask(&load, Kind::kLoad, 2);
  PollWithoutRoom();
  EXPECT_THAT(load.status, StatusIs(absl::StatusCode::kAborted, testing::_));
  EXPECT_EQ(holder_.Get(), first);
  EXPECT_THAT(Log(), Not(HasSubstr("event=checkpoint_unloaded")));
}

TEST_F(UnloadFirstTest, ARollbackAfterwardsGoesToWhatWasUnloaded) {
  Serve(1);
  WritePolicyText("{\"serve\": 3}");
  folder_.Publish(2);
  folder_.Publish(3);
  PollWithoutRoom();
  ASSERT_EQ(Served(), 3U);
  Answer rollback;
  Ask(&rollback, Kind::kRollback);
  Poll();
  NEUMF_EXPECT_OK(rollback.status);
  EXPECT_EQ(Served(), 1U);
  EXPECT_EQ(PolicyText(), "{\"serve\": 1, \"refuse\": [2, 3]}\n");
}

TEST_F(UnloadFirstTest, WhatIsStillInUseServesOn) {
  VersionSwitch::Options options;
  options.directory = folder_.path();
  options.may_unload = true;
  options.unload_wait = absl::Milliseconds(1);
  VersionSwitch versions(options, {&files_, &clock_, loader_.get(), &device_,
                                   &holder_, &reaper_, &history_, &metrics_});
  folder_.Publish(1);
  NEUMF_ASSERT_OK(versions.Load(folder_.File(1), {}));
  auto in_use = holder_.Get();
  folder_.Publish(2);
  const uint64_t before = history_.ChangesAfter(0).until;
  next_memory_ = 0;
  EXPECT_FALSE(versions.Load(folder_.File(2), {}).ok());
  EXPECT_THAT(Log(), HasSubstr("event=checkpoint_in_use version=1"));
  EXPECT_EQ(holder_.Get(), in_use);
  EXPECT_THAT(States(), ElementsAre("2 REFUSED", "1 SERVING"));
  for (const auto& change : history_.ChangesAfter(before).versions) {
    EXPECT_NE(change.state(), v1::MODEL_STATE_RETIRED);
  }
  EXPECT_EQ(ReadMetric(metrics_, "neumf_known_users"), 7);
  // The new one was not tried, and nothing speaks against it.
  in_use.reset();
  clock_.Advance(absl::Hours(1));
  next_memory_ = 0;
  NEUMF_EXPECT_OK(versions.Load(folder_.File(2), {}));
  EXPECT_EQ(Served(), 2U);
}

TEST_F(UnloadFirstTest, ARollbackDoesNotWaitForCallsToLetGo) {
  Serve(1);
  const auto in_use = holder_.Get();
  folder_.Publish(2);
  Answer rollback;
  std::thread operators([&] {
    EXPECT_TRUE(Eventually([&] { return Served() == 0; }));
    Ask(&rollback, Kind::kRollback);
  });
  PollWithoutRoom();
  operators.join();
  NEUMF_EXPECT_OK(rollback.status);
  EXPECT_EQ(holder_.Get(), in_use);
  EXPECT_EQ(PolicyText(), "{\"serve\": \"largest\", \"refuse\": [2]}\n");
  EXPECT_THAT(States(), ElementsAre("2 RETIRED", "1 SERVING"));
}

TEST_F(UnloadFirstTest, AWarmVersionIsGoneBeforeMemoryIsLookedAtAgain) {
  Start(/*keep_versions=*/2);
  Serve(1);
  const std::weak_ptr<const Snapshot> first = holder_.Get();
  Serve(2);
  Manifest changed;
  changed.model_kind = "neumf";
  folder_.Publish(1, changed);
  std::vector<bool> gone;
  on_memory_ = [&] { gone.push_back(first.expired()); };
  Answer load;
  Ask(&load, Kind::kLoad, 1);
  PollWithoutRoom();
  NEUMF_EXPECT_OK(load.status);
  EXPECT_EQ(Served(), 1U);
  EXPECT_THAT(gone, ElementsAre(false, true));
}

}  // namespace
}  // namespace neumf
