// What the quality gate may refuse, and what operators have judged before it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "checkpoint/serving_policy.h"
#include "server/checkpoint_watcher.h"
#include "tests/server/metric_reader.h"
#include "tests/server/test_checkpoint.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

// A gate that nothing passes: both versions find all choices, and twice as
// many are asked for.
QualityGate::Options GateOf(const std::string& file) {
  QualityGate::Options options;
  options.file = file;
  options.metric = *GateMetric::Parse("hit@1000");
  options.min_share = 2;
  options.min_users = 1;
  return options;
}

class GateControlTest : public testing::Test {
 protected:
  GateControlTest() {
    testing::internal::CaptureStderr();
    std::string choices;
    for (int user = 0; user < 7; ++user) {
      for (int item = 0; item < 33; ++item) {
        absl::StrAppend(&choices, "u", user, "\ti", item, "\n");
      }
    }
    EXPECT_TRUE(WriteFileAtomically(*files_, choices_file_, choices).ok());
    EXPECT_TRUE(gate_.Load().ok());
    CheckpointLoader::Options loader_options;
    loader_options.gate = &gate_;
    loader_options.available_memory = [this] {
      on_load_();
      return FindAvailableMemory();
    };
    loader_ = std::make_unique<CheckpointLoader>(files_.get(), loader_options,
                                                 &device_, &metrics_);
    Restart();
  }
  ~GateControlTest() override {
    watcher_.reset();
    testing::internal::GetCapturedStderr();
  }

  // A daemon that has just started.
  void Restart() {
    watcher_.reset();
    holder_.Swap(nullptr);
    CheckpointWatcher::Options options;
    options.directory = folder_.path();
    options.keep_versions = 1;
    watcher_ = std::make_unique<CheckpointWatcher>(
        options, CheckpointWatcher::Parts{files_.get(), &clock_, loader_.get(),
                                          &device_, &recovery_, &holder_,
                                          &reaper_, &history_, &metrics_});
  }

  // What is served then.
  uint64_t Poll() {
    watcher_->PollOnce();
    const auto snapshot = holder_.Get();
    return snapshot == nullptr ? 0 : snapshot->version;
  }
  // Serves version 1, and has the gate refuse version 2.
  void RefuseTheSecond() {
    folder_.Publish(1);
    ASSERT_EQ(Poll(), 1U);  // there is nothing to compare it with
    folder_.Publish(2);
    ASSERT_EQ(Poll(), 1U);
    ASSERT_EQ(GateRefusals(), 1);
  }
  double GateRefusals() {
    return ReadMetric(metrics_, "neumf_reload_total",
                      {{"result", "gate_failed"}});
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

  CheckpointFolder folder_;
  const TempDirectory root_;
  const std::string choices_file_ = root_.Path("choices");
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  FakeClock clock_;
  ServerMetrics metrics_;
  Reaper reaper_;
  ScoringDevice device_{{}, /*uses_gpu=*/false, &metrics_, [] {}};
  DeviceRecovery recovery_{{}, &clock_, &device_};
  SnapshotHolder holder_;
  VersionHistory history_;
  std::function<void()> on_load_ = [] {};  // by the thread that loads
  QualityGate gate_{GateOf(choices_file_), files_.get(), &metrics_};
  std::unique_ptr<CheckpointLoader> loader_;
  std::unique_ptr<CheckpointWatcher> watcher_;
};

TEST_F(GateControlTest, WhatAPollFindsIsJudged) {
  RefuseTheSecond();
  folder_.Publish(3);
  EXPECT_EQ(Poll(), 1U);
  EXPECT_EQ(GateRefusals(), 2);
}

// It has nothing to compare it with when it starts.
TEST_F(GateControlTest, WhatItRefusedIsServedByNoServerThatStarts) {
  RefuseTheSecond();
  EXPECT_EQ(PolicyText(), "{\"serve\": \"largest\", \"refuse\": [2]}\n");
  Restart();
  EXPECT_EQ(Poll(), 1U);
  EXPECT_EQ(GateRefusals(), 1);  // nor is it loaded again
}

TEST_F(GateControlTest, WhatOperatorsTakeOutOfTheFileIsNotPutThereAgain) {
  RefuseTheSecond();
  WritePolicyText("{}");
  EXPECT_EQ(Poll(), 1U);
  EXPECT_EQ(PolicyText(), "{}");
}

TEST_F(GateControlTest, APinThatComesWhileItIsLoadedCounts) {
  on_load_ = [this] {
    if (holder_.Get() != nullptr) WritePolicyText(R"({"serve": 2})");
  };
  RefuseTheSecond();
  EXPECT_EQ(PolicyText(), R"({"serve": 2})");
  EXPECT_EQ(Poll(), 2U);
}

TEST_F(GateControlTest, WhatThePolicyPinsIsNotJudged) {
  RefuseTheSecond();
  folder_.Publish(3);
  WritePolicyText(R"({"serve": 3})");
  EXPECT_EQ(Poll(), 3U);
  EXPECT_EQ(GateRefusals(), 1);
}

TEST_F(GateControlTest, WhatItRefusedIsServedOnceThePolicyPinsIt) {
  RefuseTheSecond();
  WritePolicyText(R"({"serve": 2})");
  EXPECT_EQ(Poll(), 2U);
}

TEST_F(GateControlTest, WhatFollowsARefusedVersionIsNotJudged) {
  RefuseTheSecond();
  WritePolicyText(R"({"refuse": [1]})");
  EXPECT_EQ(Poll(), 2U);
  // What comes after it is.
  folder_.Publish(3);
  EXPECT_EQ(Poll(), 2U);
  EXPECT_EQ(GateRefusals(), 2);
}

}  // namespace
}  // namespace neumf
