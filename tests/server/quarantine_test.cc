#include "server/quarantine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/checkpoint_watcher.h"
#include "tests/server/metric_reader.h"
#include "tests/server/test_checkpoint.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::HasSubstr;

LoadOutcome Outcome(ReloadResult result, const std::string& digest,
                    const std::string& reason = "why") {
  LoadOutcome outcome;
  outcome.result = result;
  outcome.digest = digest;
  outcome.reason = reason;
  return outcome;
}

TEST(QuarantineTest, KnowsWhatWasVerifiedAndUnfit) {
  Quarantine quarantine;
  quarantine.Add(7, Outcome(ReloadResult::kProbeFailed, "a"));
  const auto known = quarantine.Find("a", /*is_judged=*/true);
  ASSERT_TRUE(known.has_value());
  EXPECT_EQ(known->result, ReloadResult::kProbeFailed);
  EXPECT_EQ(known->reason, "refused before as version 7: why");
  EXPECT_FALSE(quarantine.Find("b", true).has_value());
  quarantine.Remove("a");
  EXPECT_FALSE(quarantine.Find("a", true).has_value());
}

TEST(QuarantineTest, WhatIsDamagedOrPassesSaysNothingAboutADigest) {
  Quarantine quarantine;
  for (const ReloadResult result :
       {ReloadResult::kCorrupt, ReloadResult::kIncompatible,
        ReloadResult::kBadSignature, ReloadResult::kNoMemory,
        ReloadResult::kIoError, ReloadResult::kDeviceError,
        ReloadResult::kCrashedLoading, ReloadResult::kRolledBack}) {
    quarantine.Add(7, Outcome(result, "a"));
    EXPECT_FALSE(quarantine.Find("a", true).has_value());
  }
}

TEST(QuarantineTest, WhatIsNotJudgedIsNotHeldUpByTheGate) {
  Quarantine quarantine;
  quarantine.Add(7, Outcome(ReloadResult::kGateFailed, "a"));
  quarantine.Add(8, Outcome(ReloadResult::kProbeFailed, "b"));
  EXPECT_TRUE(quarantine.Find("a", /*is_judged=*/true).has_value());
  EXPECT_FALSE(quarantine.Find("a", /*is_judged=*/false).has_value());
  EXPECT_TRUE(quarantine.Find("b", /*is_judged=*/false).has_value());
}

TEST(QuarantineTest, KeepsTheFirstReasonAndForgetsTheOldest) {
  Quarantine quarantine;
  quarantine.Add(1, Outcome(ReloadResult::kGateFailed, "first"));
  LoadOutcome again = Outcome(ReloadResult::kGateFailed, "first", "again");
  again.was_known = true;
  quarantine.Add(2, again);
  EXPECT_THAT(quarantine.Find("first", true)->reason, HasSubstr("version 1"));
  for (size_t i = 0; i < Quarantine::kMaxContents; ++i) {
    quarantine.Add(3, Outcome(ReloadResult::kGateFailed, absl::StrCat(i)));
  }
  EXPECT_FALSE(quarantine.Find("first", true).has_value());
  EXPECT_TRUE(quarantine.Find("0", true).has_value());
}

// As the CheckpointWatcher uses it.
class QuarantinedFilesTest : public testing::Test {
 protected:
  QuarantinedFilesTest() {
    testing::internal::CaptureStderr();
    CheckpointLoader::Options loader_options;
    loader_options.available_memory = [this] {
      ++num_loads_;
      return FindAvailableMemory();
    };
    loader_ = std::make_unique<CheckpointLoader>(files_.get(), loader_options,
                                                 &device_, &metrics_);
    CheckpointWatcher::Options options;
    options.directory = folder_.path();
    watcher_ = std::make_unique<CheckpointWatcher>(
        options, CheckpointWatcher::Parts{files_.get(), &clock_, loader_.get(),
                                          &device_, &recovery_, &holder_,
                                          &reaper_, &history_, &metrics_});
    folder_.Publish(1);
    Poll();
  }
  ~QuarantinedFilesTest() override {
    watcher_.reset();
    testing::internal::GetCapturedStderr();
  }

  void Poll() { watcher_->PollOnce(); }
  // Its answers are not what its exporter says.
  void PublishWithAWrongProbe(uint64_t version) {
    Probe probe;
    probe.user_id = "u0";
    probe.items.push_back({"i0", 12345});
    Manifest manifest;
    manifest.probes.push_back(std::move(probe));
    folder_.Publish(version, manifest);
  }
  void Copy(uint64_t from, uint64_t to) {
    NEUMF_ASSERT_OK(WriteFileAtomically(*files_, folder_.File(to).path,
                                        folder_.Bytes(from)));
  }
  uint64_t Served() const {
    const auto snapshot = holder_.Get();
    return snapshot == nullptr ? 0 : snapshot->version;
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
  double Reloads(const std::string& result) {
    return ReadMetric(metrics_, "neumf_reload_total", {{"result", result}});
  }

  CheckpointFolder folder_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  FakeClock clock_;
  ServerMetrics metrics_;
  Reaper reaper_;
  ScoringDevice device_{{}, /*uses_gpu=*/false, &metrics_, [] {}};
  DeviceRecovery recovery_{{}, &clock_, &device_};
  SnapshotHolder holder_;
  VersionHistory history_;
  int num_loads_ = 0;  // of which data was to be read
  std::unique_ptr<CheckpointLoader> loader_;
  std::unique_ptr<CheckpointWatcher> watcher_;
};

TEST_F(QuarantinedFilesTest, ContentUnderAnotherNumberIsRefusedUnread) {
  PublishWithAWrongProbe(5);
  Poll();
  ASSERT_EQ(Reloads("probe_failed"), 1);
  const int num_loads = num_loads_;
  Copy(5, 6);
  folder_.Remove(5);
  Poll();
  EXPECT_EQ(num_loads_, num_loads);
  EXPECT_EQ(Reloads("probe_failed"), 2);
  EXPECT_EQ(Served(), 1U);
  const v1::ModelVersion shown = history_.List().front();
  EXPECT_EQ(shown.version(), "6");
  EXPECT_EQ(shown.state(), v1::MODEL_STATE_REFUSED);
  EXPECT_FALSE(shown.digest().empty());
  EXPECT_THAT(shown.reason(),
              HasSubstr("refused before as version 5: probe of user \"u0\""));
}

TEST_F(QuarantinedFilesTest, AFileThatIsReplacedByItselfIsRefusedUnread) {
  PublishWithAWrongProbe(5);
  Poll();
  const int num_loads = num_loads_;
  Copy(5, 5);
  Poll();
  EXPECT_EQ(num_loads_, num_loads);
  EXPECT_EQ(Served(), 1U);
}

TEST_F(QuarantinedFilesTest, ALoadByNameTriesItAgain) {
  PublishWithAWrongProbe(5);
  Poll();
  const int num_loads = num_loads_;
  Copy(5, 6);
  EXPECT_THAT(LoadByName(6),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       testing::Not(HasSubstr("refused before"))));
  EXPECT_EQ(num_loads_, num_loads + 1);
}

// Damage behind the header leaves its digest that of the good file.
TEST_F(QuarantinedFilesTest, ADamagedCopyDoesNotHaveTheGoodFileRefused) {
  folder_.Publish(5);
  const std::string good = folder_.Bytes(5);
  folder_.FlipLastByte(5);
  Poll();
  ASSERT_EQ(Reloads("corrupt"), 1);
  const std::string digest = history_.List().front().digest();
  NEUMF_ASSERT_OK(WriteFileAtomically(*files_, folder_.File(6).path, good));
  Poll();
  EXPECT_EQ(Served(), 6U);
  EXPECT_EQ(holder_.Get()->digest, digest);
}

}  // namespace
}  // namespace neumf
