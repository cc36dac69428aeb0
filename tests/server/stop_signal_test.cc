#include "server/stop_signal.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "base/logging.h"

namespace neumf {
namespace {

using testing::ExitedWithCode;

constexpr absl::Duration kShort = absl::Milliseconds(20);
constexpr absl::Duration kLong = absl::Minutes(10);

// Each test ends a process of its own.
class StopSignalTest : public testing::Test {
 protected:
  StopSignalTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }

  static std::unique_ptr<StopSignal> Create(absl::Duration grace) {
    auto stop = StopSignal::Create(grace);
    NEUMF_CHECK(stop.ok());
    return *std::move(stop);
  }
  static void Signal() { NEUMF_CHECK(kill(getpid(), SIGTERM) == 0); }
  [[noreturn]] static void Hang() {
    while (true) absl::SleepFor(kLong);
  }
};

TEST_F(StopSignalTest, ADrainThatHangsAfterASignalEndsByForce) {
  EXPECT_EXIT(
      {
        const auto stop = Create(kShort);
        stop->Arm();
        Signal();
        stop->Wait();
        Hang();
      },
      ExitedWithCode(3), "drain_abandoned reason=\"it took too long\"");
}

TEST_F(StopSignalTest, SoDoesOneThatNobodyAskedFor) {
  EXPECT_EXIT(
      {
        const auto stop = Create(kShort);
        stop->DrainBegins();
        Hang();
      },
      ExitedWithCode(3), "drain_abandoned reason=\"it took too long\"");
}

TEST_F(StopSignalTest, ADrainThatBeginsAgainHasNoMoreTime) {
  EXPECT_EXIT(
      {
        const auto stop = Create(absl::Milliseconds(200));
        while (true) {
          stop->DrainBegins();
          absl::SleepFor(kShort);
        }
      },
      ExitedWithCode(3), "drain_abandoned reason=\"it took too long\"");
}

TEST_F(StopSignalTest, NorHasOneThatASignalFollows) {
  // Tools may hold up the end of a process for a second.
  constexpr absl::Duration kGrace = absl::Seconds(2);
  EXPECT_EXIT(
      {
        const auto stop = Create(kGrace);
        stop->Arm();
        stop->DrainBegins();
        absl::SleepFor(0.9 * kGrace);
        Signal();
        absl::SleepFor(0.9 * kGrace);
        std::_Exit(0);
      },
      ExitedWithCode(3), "drain_abandoned reason=\"it took too long\"");
}

TEST_F(StopSignalTest, ADrainThatEndsInTimeIsLeftAlone) {
  constexpr int kCode = 7;
  EXPECT_EXIT(
      {
        {
          const auto stop = Create(kLong);
          stop->DrainBegins();
        }
        std::_Exit(kCode);
      },
      ExitedWithCode(kCode), "");
}

TEST_F(StopSignalTest, WithNothingServedASignalEndsADrainAtOnce) {
  EXPECT_EXIT(
      {
        const auto stop = Create(kLong);
        stop->DrainBegins();
        Signal();
        Hang();
      },
      ExitedWithCode(0), "");
}

TEST_F(StopSignalTest, ASignalBeforeAnythingIsServedSaysSoFirst) {
  EXPECT_EXIT(
      {
        const auto stop = Create(kLong);
        stop->WhenStoppedEarly([] { std::fputs("said\n", stderr); });
        Signal();
        Hang();
      },
      ExitedWithCode(0), "^said\n$");
  EXPECT_EXIT(
      {
        const auto stop = Create(kLong);
        stop->WhenStoppedEarly([] { std::fputs("said\n", stderr); });
        stop->WhenStoppedEarly(nullptr);
        Signal();
        Hang();
      },
      ExitedWithCode(0), "^$");
}

TEST_F(StopSignalTest, WhatIsSaidFirstIsNotWaitedForBeyondTheGrace) {
  EXPECT_EXIT(
      {
        const auto stop = Create(kShort);
        stop->WhenStoppedEarly(Hang);
        Signal();
        Hang();
      },
      ExitedWithCode(3), "drain_abandoned reason=\"it took too long\"");
}

TEST_F(StopSignalTest, ASecondSignalEndsADrainByForce) {
  EXPECT_EXIT(
      {
        const auto stop = Create(kLong);
        stop->Arm();
        Signal();
        stop->Wait();
        stop->DrainBegins();
        Signal();
        Hang();
      },
      ExitedWithCode(3), "drain_abandoned reason=\"a second signal\"");
}

}  // namespace
}  // namespace neumf
