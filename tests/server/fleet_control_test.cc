// Servers on one directory: what one of them rolls back, the others leave.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
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

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Kind = VersionRequest::Kind;

constexpr absl::Duration kPollInterval = absl::Seconds(2);

class Server {
 public:
  Server(const std::string& directory, FileSystem* files, FakeClock* clock)
      : clock_(clock) {
    CheckpointLoader::Options loader_options;
    loader_options.available_memory = [this] {
      std::exchange(beside_load_, [] {})();
      return FindAvailableMemory();
    };
    loader_ = std::make_unique<CheckpointLoader>(files, loader_options,
                                                 &device_, &metrics_);
    CheckpointWatcher::Options options;
    options.directory = directory;
    options.poll_interval = kPollInterval;
    watcher_ = std::make_unique<CheckpointWatcher>(
        options, CheckpointWatcher::Parts{files, clock_, loader_.get(),
                                          &device_, &recovery_, &holder_,
                                          &reaper_, &history_, &metrics_});
  }

  void Poll() { watcher_->PollOnce(); }
  void Request(VersionRequest request) {
    watcher_->Request(std::move(request));
  }
  absl::StatusOr<VersionAnswer> Get(Kind kind, uint64_t version = 0) {
    std::optional<absl::StatusOr<VersionAnswer>> got;
    VersionRequest request;
    request.kind = kind;
    request.version = version;
    request.answer = [&](absl::StatusOr<VersionAnswer> answer) {
      got = std::move(answer);
    };
    Request(std::move(request));
    Poll();
    return *std::move(got);
  }
  absl::Status RollBack() { return Get(Kind::kRollback).status(); }

  // While it loads the next version.
  void BesideTheNextLoad(std::function<void()> act) {
    beside_load_ = std::move(act);
  }
  // Lets polls come, which a load does not stop, until `condition()`.
  void PollBesideUntil(const std::function<bool()>& condition) {
    EXPECT_TRUE(Eventually([&] {
      clock_->Advance(kPollInterval);
      return condition();
    }));
  }

  uint64_t Served() const {
    const auto snapshot = holder_.Get();
    return snapshot == nullptr ? 0 : snapshot->version;
  }
  // "2 SERVING", "1 STANDBY", ..., newest first.
  std::vector<std::string> States() const {
    std::vector<std::string> states;
    for (const v1::ModelVersion& version : history_.List()) {
      states.push_back(version.version() + " " +
                       v1::ModelState_Name(version.state()).substr(12));
    }
    return states;
  }
  double Metric(const std::string& name, const std::string& label,
                const std::string& value) {
    return ReadMetric(metrics_, name, {{label, value}});
  }
  double PoliciesMet() {
    return Metric("neumf_config_reloads_total", "file", "serving_policy");
  }

 private:
  FakeClock* const clock_;
  ServerMetrics metrics_;
  Reaper reaper_;
  ScoringDevice device_{{}, /*uses_gpu=*/false, &metrics_, [] {}};
  DeviceRecovery recovery_{{}, clock_, &device_};
  SnapshotHolder holder_;
  VersionHistory history_;
  std::function<void()> beside_load_ = [] {};
  std::unique_ptr<CheckpointLoader> loader_;
  std::unique_ptr<CheckpointWatcher> watcher_;
};

class FleetControlTest : public testing::Test {
 protected:
  FleetControlTest() { testing::internal::CaptureStderr(); }
  ~FleetControlTest() override { testing::internal::GetCapturedStderr(); }

  void Publish(uint64_t version, const std::vector<Server*>& servers) {
    folder_.Publish(version);
    for (Server* server : servers) {
      server->Poll();
      ASSERT_EQ(server->Served(), version);
    }
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
  static std::string Log() {
    std::string log = testing::internal::GetCapturedStderr();
    testing::internal::CaptureStderr();
    return log;
  }

  CheckpointFolder folder_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  FakeClock clock_;
  Server here_{folder_.path(), files_.get(), &clock_};
  Server there_{folder_.path(), files_.get(), &clock_};
};

// The other server never had version 6, which it passed by as well.
TEST_F(FleetControlTest, ARollbackDoesNotGoToWhatAnotherServerPassedBy) {
  Publish(5, {&here_, &there_});
  Publish(6, {&here_});
  Publish(7, {&here_, &there_});
  ASSERT_THAT(here_.States(),
              ElementsAre("7 SERVING", "6 STANDBY", "5 RETIRED"));
  NEUMF_ASSERT_OK(there_.RollBack());
  const std::string policy = "{\"serve\": \"largest\", \"refuse\": [6, 7]}\n";
  ASSERT_EQ(PolicyText(), policy);

  here_.Poll();
  EXPECT_THAT(here_.States(),
              ElementsAre("5 SERVING", "7 RETIRED", "6 RETIRED", "5 RETIRED"));
  EXPECT_THAT(Log(), HasSubstr("event=refused_standby_dropped version=6"));
  EXPECT_THAT(here_.RollBack(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                         HasSubstr("no earlier version")));
  EXPECT_EQ(here_.Served(), 5U);
  EXPECT_EQ(PolicyText(), policy);
}

TEST_F(FleetControlTest, ARollbackBesideALoadDoesNotGoToWhatIsRefused) {
  for (uint64_t version = 1; version <= 3; ++version)
    Publish(version, {&here_});
  folder_.Publish(4);
  VersionRequest rollback;
  std::string rolled_back_to;
  rollback.answer = [&](const absl::StatusOr<VersionAnswer>& answer) {
    NEUMF_ASSERT_OK(answer.status());
    rolled_back_to = answer->version.version();
  };
  VersionRequest other;  // is met after it, and refused
  other.kind = Kind::kLoad;
  other.version = 99;
  std::atomic<bool> is_met{false};
  other.answer = [&](const auto& /*answer*/) { is_met = true; };
  here_.BesideTheNextLoad([&] {
    WritePolicyText("{\"refuse\": [2]}");
    here_.Request(rollback);
    here_.Request(other);
    EXPECT_TRUE(Eventually([&] { return is_met.load(); }));
  });
  here_.Poll();
  EXPECT_EQ(rolled_back_to, "1");
  EXPECT_EQ(PolicyText(), "{\"serve\": \"largest\", \"refuse\": [2, 3]}\n");
}

TEST_F(FleetControlTest, WhatIsRefusedWhileTheNextOneIsLoadedIsNoWayBack) {
  Publish(1, {&there_});
  Publish(2, {&there_, &here_});
  folder_.Publish(3);
  here_.BesideTheNextLoad([&] {
    NEUMF_EXPECT_OK(there_.RollBack());
    here_.PollBesideUntil([&] { return here_.PoliciesMet() > 0; });
  });
  here_.Poll();
  EXPECT_THAT(here_.States(), ElementsAre("3 SERVING", "2 RETIRED"));
  NEUMF_EXPECT_OK(here_.RollBack());
  EXPECT_EQ(here_.Served(), 1U);
  EXPECT_EQ(PolicyText(), "{\"serve\": \"largest\", \"refuse\": [2, 3]}\n");
}

// The same where no poll comes before the load ends.
TEST_F(FleetControlTest, WhatIsRefusedAtTheEndOfALoadIsNoWayBackEither) {
  Publish(1, {&there_});
  Publish(2, {&there_, &here_});
  folder_.Publish(3);
  here_.BesideTheNextLoad([&] { NEUMF_EXPECT_OK(there_.RollBack()); });
  here_.Poll();
  EXPECT_THAT(here_.States(), ElementsAre("3 SERVING", "2 RETIRED"));
}

// A larger one may take minutes to be read, and has to be judged.
TEST_F(FleetControlTest, ARefusedVersionGivesWayToAWarmOneBeforeAnyLoad) {
  Publish(1, {&here_});
  Publish(2, {&here_});
  const double served = here_.Metric("neumf_reload_total", "result", "ok");
  folder_.Publish(3);
  WritePolicyText("{\"refuse\": [2]}");
  uint64_t meanwhile = 0;
  here_.BesideTheNextLoad([&] { meanwhile = here_.Served(); });
  here_.Poll();
  EXPECT_EQ(meanwhile, 1U);
  EXPECT_THAT(here_.States(),
              ElementsAre("3 SERVING", "2 RETIRED", "1 STANDBY"));
  EXPECT_EQ(here_.Metric("neumf_reload_total", "result", "ok"), served + 1);
  EXPECT_EQ(here_.Metric("neumf_reload_total", "result", "rolled_back"), 0);
  EXPECT_EQ(PolicyText(), "{\"refuse\": [2]}");
  EXPECT_THAT(Log(),
              AllOf(HasSubstr("event=refused_version_left version=2 to=1"),
                    HasSubstr("event=checkpoint_serving version=1"),
                    Not(HasSubstr("event=rollback"))));
}

TEST_F(FleetControlTest, ARefusedVersionGivesWayToAWarmOneBesideALoad) {
  Publish(1, {&here_});
  Publish(2, {&here_});
  folder_.Publish(3);
  here_.BesideTheNextLoad([&] {
    WritePolicyText("{\"refuse\": [2]}");
    here_.PollBesideUntil([&] { return here_.Served() == 1; });
  });
  here_.Poll();
  EXPECT_THAT(here_.States(),
              ElementsAre("3 SERVING", "2 RETIRED", "1 STANDBY"));
  EXPECT_THAT(Log(), Not(HasSubstr("event=checkpoint_given_up")));
}

TEST_F(FleetControlTest, ARefusedVersionGivesWayBesideALoadByName) {
  Publish(1, {&here_});
  Publish(2, {&here_});
  folder_.Publish(3);
  here_.BesideTheNextLoad([&] {
    WritePolicyText("{\"refuse\": [2]}");
    here_.PollBesideUntil([&] { return here_.Served() == 1; });
  });
  NEUMF_EXPECT_OK(here_.Get(Kind::kLoad, 3).status());
  EXPECT_THAT(here_.States(),
              ElementsAre("3 SERVING", "2 RETIRED", "1 STANDBY"));
  EXPECT_EQ(PolicyText(), "{\"serve\": 3, \"refuse\": [2]}\n");
}

// It is one version that operators want to leave, wherever they say so.
TEST_F(FleetControlTest, ARollbackOnTwoServersAtOnceLeavesOneVersion) {
  for (uint64_t version = 1; version <= 3; ++version) {
    Publish(version, {&here_, &there_});
  }
  NEUMF_EXPECT_OK(there_.RollBack());
  NEUMF_EXPECT_OK(here_.RollBack());
  EXPECT_EQ(here_.Served(), 2U);
  EXPECT_EQ(PolicyText(), "{\"serve\": \"largest\", \"refuse\": [3]}\n");
}

}  // namespace
}  // namespace neumf
