// Trials of new versions as the CheckpointWatcher holds them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/serving_policy.h"
#include "server/checkpoint_watcher.h"
#include "tests/server/metric_reader.h"
#include "tests/server/test_checkpoint.h"
#include "tests/support/eventually.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSupersetOf;
using Kind = VersionRequest::Kind;

class TrialControlTest : public testing::Test {
 protected:
  TrialControlTest() {
    testing::internal::CaptureStderr();
    CheckpointLoader::Options loader_options;
    loader_options.available_memory = [this] {
      on_load_();
      return FindAvailableMemory();
    };
    loader_ = std::make_unique<CheckpointLoader>(files_.get(), loader_options,
                                                 &device_, &metrics_);
    options_.directory = folder_.path();
    options_.trial.shadow_share = 1;
    options_.trial.shadow_duration = absl::Minutes(1);
    options_.trial.min_requests = 1;
    options_.trial.min_overlap = 0.5;
  }
  ~TrialControlTest() override {
    watcher_.reset();
    testing::internal::GetCapturedStderr();
  }

  // Serves version 1 and puts version 2 on trial.
  void StartTrial() {
    watcher_ = std::make_unique<CheckpointWatcher>(
        options_,
        CheckpointWatcher::Parts{files_.get(), &clock_, loader_.get(), &device_,
                                 &recovery_, &holder_, &reaper_, &history_,
                                 &metrics_, /*crash_guard=*/nullptr,
                                 /*last_good=*/nullptr, &trials_});
    folder_.Publish(1);
    Poll();
    folder_.Publish(2);
    Poll();
    ASSERT_EQ(OnTrial(), 2U);
  }
  void Poll() { watcher_->PollOnce(); }
  uint64_t Served() const {
    const auto snapshot = holder_.Get();
    return snapshot == nullptr ? 0 : snapshot->version;
  }
  // 0: nothing is.
  uint64_t OnTrial() const {
    const auto trial = trials_.Get();
    return trial == nullptr ? 0 : trial->version();
  }
  absl::StatusOr<VersionAnswer> Get(Kind kind, uint64_t version = 0) {
    std::optional<absl::StatusOr<VersionAnswer>> got;
    VersionRequest request;
    request.kind = kind;
    request.version = version;
    request.answer = [&](absl::StatusOr<VersionAnswer> answer) {
      got = std::move(answer);
    };
    watcher_->Request(std::move(request));
    Poll();
    return *std::move(got);
  }
  // "2 CANDIDATE", "1 SERVING", ..., newest first.
  std::vector<std::string> States() const {
    std::vector<std::string> states;
    for (const v1::ModelVersion& version : history_.List()) {
      states.push_back(version.version() + " " +
                       v1::ModelState_Name(version.state()).substr(12));
    }
    return states;
  }
  std::string PolicyText() {
    return ReadWholeFile(*files_, JoinPath(folder_.path(), kServingPolicyFile),
                         kMaxServingPolicyBytes)
        .value_or("none");
  }
  void WritePolicyText(const std::string& text) {
    NEUMF_ASSERT_OK(WriteFileAtomically(
        *files_, JoinPath(folder_.path(), kServingPolicyFile), text));
  }
  double Trials(const std::string& result) {
    return ReadMetric(metrics_, "neumf_trials_total", {{"result", result}});
  }

  CheckpointFolder folder_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  FakeClock clock_;
  ServerMetrics metrics_;
  Reaper reaper_;
  ScoringDevice device_{{}, /*uses_gpu=*/false, &metrics_, [] {}};
  DeviceRecovery recovery_{{}, &clock_, &device_};
  SnapshotHolder holder_;
  TrialHolder trials_;
  VersionHistory history_;
  std::function<void()> on_load_ = [] {};  // by the thread that loads
  std::unique_ptr<CheckpointLoader> loader_;
  CheckpointWatcher::Options options_;
  std::unique_ptr<CheckpointWatcher> watcher_;
};

TEST_F(TrialControlTest, ANewVersionIsTriedBesideTheServedOne) {
  StartTrial();
  EXPECT_EQ(Served(), 1U);
  EXPECT_THAT(States(), ElementsAre("2 CANDIDATE", "1 SERVING"));
  EXPECT_NE(history_.List()[0].resident_bytes(), 0);
  Poll();
  EXPECT_THAT(States(), ElementsAre("2 CANDIDATE", "1 SERVING"));
}

TEST_F(TrialControlTest, AVersionThatHoldsItsTrialIsServed) {
  StartTrial();
  const auto candidate = trials_.Get()->candidate();
  trials_.Get()->Compared(0.9, std::nullopt);
  clock_.Advance(absl::Minutes(1));
  Poll();
  EXPECT_EQ(holder_.Get(), candidate);
  EXPECT_EQ(OnTrial(), 0U);
  EXPECT_THAT(States(), ElementsAre("2 SERVING", "1 STANDBY"));
  EXPECT_EQ(Trials("promoted"), 1);
  NEUMF_EXPECT_OK(Get(Kind::kRollback).status());
  EXPECT_EQ(Served(), 1U);
}

TEST_F(TrialControlTest, AVersionThatFailsItsTrialIsRefusedEverywhere) {
  StartTrial();
  const std::weak_ptr<const Snapshot> candidate = trials_.Get()->candidate();
  trials_.Get()->Compared(0.1, std::nullopt);
  Poll();
  EXPECT_EQ(Served(), 1U);
  EXPECT_EQ(OnTrial(), 0U);
  EXPECT_TRUE(candidate.expired());
  EXPECT_THAT(States(), ElementsAre("2 REFUSED", "1 SERVING"));
  EXPECT_THAT(history_.List()[0].reason(), HasSubstr("the mean overlap"));
  EXPECT_EQ(history_.List()[0].resident_bytes(), 0);
  EXPECT_EQ(PolicyText(), "{\"serve\": \"largest\", \"refuse\": [2]}\n");
  EXPECT_EQ(Trials("rolled_back"), 1);
  EXPECT_EQ(
      ReadMetric(metrics_, "neumf_reload_total", {{"result", "rolled_back"}}),
      1);
  Poll();
  EXPECT_EQ(OnTrial(), 0U);
  folder_.Publish(3);
  Poll();
  EXPECT_EQ(OnTrial(), 3U);
}

TEST_F(TrialControlTest, AVersionThatThereIsNoTimeToTryIsRefusedHereAlone) {
  StartTrial();
  trials_.Get()->Dropped();
  clock_.Advance(VersionTrial::kLeastPatience);
  for (int i = 0; i < 2; ++i) {
    Poll();
    EXPECT_EQ(Served(), 1U);
    EXPECT_EQ(OnTrial(), 0U);
    EXPECT_THAT(States(), ElementsAre("2 REFUSED", "1 SERVING"));
  }
  EXPECT_THAT(history_.List()[0].reason(), HasSubstr("it was not tried"));
  EXPECT_EQ(PolicyText(), "none");
  EXPECT_EQ(Trials("ended"), 1);
  WritePolicyText(R"({"serve": 2})");
  Poll();
  EXPECT_EQ(Served(), 2U);
}

TEST_F(TrialControlTest, ARollbackRejectsWhatIsOnTrial) {
  StartTrial();
  const auto answer = Get(Kind::kRollback);
  NEUMF_ASSERT_OK(answer.status());
  EXPECT_EQ(answer->version.version(), "1");
  EXPECT_EQ(Served(), 1U);
  EXPECT_EQ(OnTrial(), 0U);
  EXPECT_THAT(States(), ElementsAre("2 REFUSED", "1 SERVING"));
  EXPECT_EQ(PolicyText(), "{\"serve\": \"largest\", \"refuse\": [2]}\n");
}

TEST_F(TrialControlTest, ALoadByNamePromotesWhatIsOnTrialAtOnce) {
  StartTrial();
  const auto candidate = trials_.Get()->candidate();
  NEUMF_EXPECT_OK(Get(Kind::kLoad, 2).status());
  EXPECT_EQ(holder_.Get(), candidate);
  EXPECT_EQ(OnTrial(), 0U);
  EXPECT_EQ(Trials("promoted"), 1);
  EXPECT_THAT(States(), ElementsAre("2 SERVING", "1 STANDBY"));
}

TEST_F(TrialControlTest, ALoadByNameIsServedWithoutATrialAndEndsTheOther) {
  StartTrial();
  folder_.Publish(3);
  NEUMF_EXPECT_OK(Get(Kind::kLoad, 3).status());
  EXPECT_EQ(Served(), 3U);
  EXPECT_EQ(OnTrial(), 0U);
  EXPECT_EQ(Trials("ended"), 1);
  EXPECT_THAT(States(), ElementsAre("3 SERVING", "2 RETIRED", "1 STANDBY"));
}

TEST_F(TrialControlTest, AVersionThatThePolicyPinsIsServedAtOnce) {
  StartTrial();
  WritePolicyText("{\"serve\": 2}");
  Poll();
  EXPECT_EQ(Served(), 2U);
  EXPECT_EQ(OnTrial(), 0U);
  EXPECT_EQ(Trials("promoted"), 1);
}

TEST_F(TrialControlTest, WhatAnotherServerRolledBackIsTriedNoLonger) {
  StartTrial();
  WritePolicyText("{\"refuse\": [2]}");
  Poll();
  EXPECT_EQ(Served(), 1U);
  EXPECT_EQ(OnTrial(), 0U);
  EXPECT_EQ(Trials("ended"), 1);
}

TEST_F(TrialControlTest, WhatIsOnTrialTakesThePlaceOfAServedVersionRefused) {
  StartTrial();
  WritePolicyText("{\"refuse\": [1]}");
  Poll();
  EXPECT_EQ(Served(), 2U);
  EXPECT_EQ(OnTrial(), 0U);
}

// The trial compared it with what must go: it begins again, with another one.
TEST_F(TrialControlTest, AWarmVersionTakesThePlaceOfAServedOneBeforeAnyTrial) {
  StartTrial();
  NEUMF_ASSERT_OK(Get(Kind::kLoad, 2).status());
  NEUMF_ASSERT_OK(Get(Kind::kLoadLargest).status());
  folder_.Publish(3);
  Poll();
  ASSERT_EQ(OnTrial(), 3U);
  const auto candidate = trials_.Get()->candidate();
  WritePolicyText("{\"refuse\": [2]}");
  Poll();
  EXPECT_EQ(Served(), 1U);
  ASSERT_EQ(OnTrial(), 3U);
  EXPECT_NE(trials_.Get()->candidate(), candidate);
  EXPECT_EQ(Trials("ended"), 1);
  EXPECT_EQ(Trials("promoted"), 1);
  EXPECT_THAT(States(), ElementsAre("3 CANDIDATE", "3 RETIRED", "2 RETIRED",
                                    "1 SERVING"));
}

TEST_F(TrialControlTest, WhatIsOnTrialAndPinnedGoesBeforeAWarmVersion) {
  StartTrial();
  NEUMF_ASSERT_OK(Get(Kind::kLoad, 2).status());
  NEUMF_ASSERT_OK(Get(Kind::kLoadLargest).status());
  folder_.Publish(3);
  Poll();
  const auto candidate = trials_.Get()->candidate();
  WritePolicyText(R"({"serve": 3, "refuse": [2]})");
  Poll();
  EXPECT_EQ(holder_.Get(), candidate);
  EXPECT_EQ(Trials("promoted"), 2);
}

TEST_F(TrialControlTest, ANewerVersionTakesItsPlaceIfItIsValid) {
  StartTrial();
  folder_.Publish(3);
  folder_.FlipLastByte(3);
  Poll();
  EXPECT_EQ(OnTrial(), 2U);
  folder_.Publish(4);
  Poll();
  EXPECT_EQ(OnTrial(), 4U);
  EXPECT_EQ(Served(), 1U);
  EXPECT_THAT(States(), ElementsAre("4 CANDIDATE", "3 REFUSED", "2 RETIRED",
                                    "1 SERVING"));
}

TEST_F(TrialControlTest, ATrialIsJudgedWhileANewerVersionIsLoaded) {
  StartTrial();
  folder_.Publish(3);
  on_load_ = [&] {
    trials_.Get()->Compared(0.1, std::nullopt);
    EXPECT_TRUE(Eventually([&] {
      clock_.Advance(options_.poll_interval);
      return OnTrial() == 0;
    }));
  };
  Poll();
  EXPECT_EQ(Trials("rolled_back"), 1);
  EXPECT_EQ(OnTrial(), 3U);
  EXPECT_THAT(States(), ElementsAre("3 CANDIDATE", "2 REFUSED", "1 SERVING"));
}

TEST_F(TrialControlTest, ThePolicyIsObeyedWhileANewerVersionIsLoaded) {
  StartTrial();
  folder_.Publish(3);
  on_load_ = [&] {
    WritePolicyText(R"({"refuse": [2, 3]})");
    EXPECT_TRUE(Eventually([&] {
      clock_.Advance(options_.poll_interval);
      return OnTrial() == 0;
    }));
  };
  Poll();
  EXPECT_EQ(OnTrial(), 0U);
  EXPECT_EQ(Served(), 1U);
  EXPECT_THAT(States(), IsSupersetOf({"2 RETIRED", "1 SERVING"}));
}

TEST_F(TrialControlTest, AFileThatIsTakenAwayEndsItsTrial) {
  StartTrial();
  folder_.Remove(2);
  Poll();
  EXPECT_EQ(OnTrial(), 0U);
  EXPECT_THAT(States(), ElementsAre("2 RETIRED", "1 SERVING"));
}

TEST_F(TrialControlTest, NothingIsPromotedAfterAStop) {
  StartTrial();
  trials_.Get()->Compared(0.9, std::nullopt);
  clock_.Advance(absl::Minutes(1));
  watcher_->RequestStop();
  Poll();
  EXPECT_EQ(Served(), 1U);
}

TEST_F(TrialControlTest, WithoutSharesThereAreNoTrials) {
  options_.trial.shadow_share = 0;
  watcher_ = std::make_unique<CheckpointWatcher>(
      options_, CheckpointWatcher::Parts{
                    files_.get(), &clock_, loader_.get(), &device_, &recovery_,
                    &holder_, &reaper_, &history_, &metrics_,
                    /*crash_guard=*/nullptr, /*last_good=*/nullptr, &trials_});
  for (uint64_t version = 1; version <= 2; ++version) {
    folder_.Publish(version);
    Poll();
    EXPECT_EQ(Served(), version);
  }
}

}  // namespace
}  // namespace neumf
