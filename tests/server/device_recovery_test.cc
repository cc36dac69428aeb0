#include "server/device_recovery.h"

#include <memory>
#include <optional>
#include <vector>

#include "tests/server/fake_gpu.h"
#include "tests/server/test_snapshot.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using Step = DeviceRecovery::Step;

DeviceOptions OptionsWith(const FakeGpu& gpu) {
  DeviceOptions options;
  options.gpu = gpu.functions();
  return options;
}

class DeviceRecoveryTest : public testing::Test {
 protected:
  DeviceRecoveryTest() {
    options_.max_tries = 4;
    options_.give_up = [this] { ++num_give_ups_; };
    served_ = MakeTestSnapshot(1);
    Reload();
    recovery_ = std::make_unique<DeviceRecovery>(options_, &clock_, &device_);
  }

  void Reload() { served_.snapshot->device_life = device_.life(); }
  void Lose() {
    device_.ReportError(device_.life(), absl::UnavailableError("gone"));
  }
  Step Next() { return recovery_->Next(served_.snapshot.get()); }
  void Recover() {
    ASSERT_EQ(Next(), Step::kReload);
    Reload();
    recovery_->Reloaded(served_.snapshot.get());
    ASSERT_EQ(Next(), Step::kNone);
  }
  // The waits between tries, until it gives up.
  std::vector<absl::Duration> WaitsUntilTheEnd() {
    std::vector<absl::Duration> waits;
    while (Next() == Step::kWait && num_give_ups_ == 0) {
      const absl::Duration wait = recovery_->next_try() - clock_.MonotonicNow();
      if (wait > absl::ZeroDuration()) waits.push_back(wait);
      clock_.Advance(wait);
    }
    return waits;
  }

  FakeClock clock_;
  FakeGpu gpu_;
  ServerMetrics metrics_;
  ScoringDevice device_{OptionsWith(gpu_), true, &metrics_, [] {}};
  DeviceRecovery::Options options_;
  std::unique_ptr<DeviceRecovery> recovery_;
  TestSnapshot served_;
  int num_give_ups_ = 0;
};

TEST_F(DeviceRecoveryTest, DoesNothingWhileNothingIsLost) {
  EXPECT_EQ(Next(), Step::kNone);
  EXPECT_EQ(recovery_->next_try(), absl::InfiniteDuration());
  EXPECT_EQ(recovery_->Next(nullptr), Step::kNone);
}

TEST_F(DeviceRecoveryTest, TriesAtOnce) {
  Lose();
  Recover();
  EXPECT_EQ(gpu_.num_resets(), 1);
  EXPECT_EQ(recovery_->next_try(), absl::InfiniteDuration());
}

TEST_F(DeviceRecoveryTest, WaitsLongerAndLongerAndThenGivesUpOnce) {
  gpu_.FailResets(1000);
  Lose();
  EXPECT_THAT(
      WaitsUntilTheEnd(),
      ElementsAre(absl::Seconds(1), absl::Seconds(2), absl::Seconds(4)));
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(Next(), Step::kWait);
  EXPECT_EQ(num_give_ups_, 1);
}

TEST_F(DeviceRecoveryTest, AModelThatCannotBeLoadedAgainIsATryToo) {
  Lose();
  EXPECT_EQ(Next(), Step::kReload);
  recovery_->Reloaded(served_.snapshot.get());  // dead as before
  EXPECT_EQ(Next(), Step::kWait);
  clock_.Advance(absl::Seconds(1));
  Recover();
  EXPECT_EQ(gpu_.num_resets(), 1);  // it was not lost again
  EXPECT_EQ(num_give_ups_, 0);
}

TEST_F(DeviceRecoveryTest, AGpuThatFailsAgainAndAgainRunsOutOfTries) {
  Lose();
  Recover();
  for (int i = 0; i < 3; ++i) {
    Lose();
    ASSERT_EQ(Next(), Step::kWait);
    clock_.Advance(recovery_->next_try() - clock_.MonotonicNow());
    Recover();
  }
  Lose();
  EXPECT_EQ(Next(), Step::kWait);
  EXPECT_EQ(num_give_ups_, 1);
}

TEST_F(DeviceRecoveryTest, TriesAreCountedAnewAfterAQuietMinute) {
  for (int i = 0; i < 10; ++i) {
    Lose();
    Recover();
    clock_.Advance(absl::Minutes(1));
  }
  EXPECT_EQ(num_give_ups_, 0);
}

TEST_F(DeviceRecoveryTest, WhatTheCpuServesIsNotGivenUpForAGpu) {
  served_.snapshot->device_life = std::nullopt;
  gpu_.FailResets(10);
  Lose();
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(Next(), Step::kWait);
    ASSERT_GT(recovery_->next_try(), clock_.MonotonicNow());
    clock_.Advance(absl::Seconds(30));
  }
  EXPECT_EQ(num_give_ups_, 0);
  EXPECT_EQ(Next(), Step::kReload);
}

TEST_F(DeviceRecoveryTest, GivingUpEndsTheProcessWithThree) {
  options_ = DeviceRecovery::Options();
  options_.max_tries = 0;
  DeviceRecovery recovery(options_, &clock_, &device_);
  Lose();
  EXPECT_EXIT(recovery.Next(nullptr), testing::ExitedWithCode(3),
              "event=device_given_up");
}

TEST_F(DeviceRecoveryTest, GivesUpWhenThereIsNothingToServe) {
  gpu_.FailResets(1000);
  Lose();
  while (num_give_ups_ == 0) {
    ASSERT_EQ(recovery_->Next(nullptr), Step::kWait);
    clock_.Advance(absl::Seconds(1));
  }
}

}  // namespace
}  // namespace neumf
