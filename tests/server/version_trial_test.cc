#include "server/version_trial.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/metric_reader.h"
#include "tests/server/test_snapshot.h"
#include "tests/support/fake_clock.h"

namespace neumf {
namespace {

using testing::HasSubstr;
using Arm = VersionTrial::Arm;
using Kind = VersionTrial::Verdict::Kind;

constexpr int kNumUsers = 10'000;
constexpr absl::Duration kQuick = absl::Milliseconds(2);

class VersionTrialTest : public testing::Test {
 protected:
  VersionTrialTest() {
    options_.shadow_share = 0.5;
    options_.shadow_duration = absl::Minutes(1);
    options_.canary_share = 0.1;
    options_.canary_duration = absl::Minutes(2);
    options_.min_requests = 10;
    options_.max_errors = 0.1;
    testing::internal::CaptureStderr();
  }
  ~VersionTrialTest() override { testing::internal::GetCapturedStderr(); }

  void Start(uint64_t version = 7) {
    trial_ = std::make_unique<VersionTrial>(options_, &clock_, &metrics_,
                                            MakeTestSnapshot(version).snapshot);
  }
  // In the canary phase, at its begin.
  void StartCanary() {
    options_.shadow_share = 0;
    Start();
  }
  void Compare(int times, double overlap) {
    for (int i = 0; i < times; ++i) trial_->Compared(overlap, 0.5);
  }
  void Answer(Arm arm, int times, absl::Duration took = kQuick,
              absl::StatusCode code = absl::StatusCode::kOk) {
    for (int i = 0; i < times; ++i) trial_->Answered(arm, code, took);
  }
  Kind Judge() { return trial_->Judge().kind; }
  double Phase() { return ReadMetric(metrics_, "neumf_trial_phase"); }
  std::vector<std::string> UsersOf(Arm arm) const {
    std::vector<std::string> users;
    for (int i = 0; i < kNumUsers; ++i) {
      const std::string id = absl::StrCat("user", i);
      if (trial_->ArmOf(id) == arm) users.push_back(id);
    }
    return users;
  }

  VersionTrial::Options options_;
  FakeClock clock_;
  ServerMetrics metrics_;
  std::unique_ptr<VersionTrial> trial_;
};

TEST_F(VersionTrialTest, GoesFromShadowToCanaryToPromotion) {
  Start();
  EXPECT_EQ(Phase(), 1);
  Compare(10, 0.9);
  clock_.Advance(absl::Seconds(59));
  EXPECT_EQ(Judge(), Kind::kGoesOn);
  EXPECT_EQ(Phase(), 1);
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(Judge(), Kind::kGoesOn);
  EXPECT_EQ(Phase(), 2);
  Answer(Arm::kCandidate, 10);
  Answer(Arm::kServed, 90);
  clock_.Advance(absl::Seconds(119));
  EXPECT_EQ(Judge(), Kind::kGoesOn);
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(Judge(), Kind::kPromote);
}

TEST_F(VersionTrialTest, AShareOfTheUsersIsScoredByBoth) {
  Start();
  EXPECT_NEAR(UsersOf(Arm::kShadow).size(), kNumUsers / 2, kNumUsers / 20);
  EXPECT_THAT(UsersOf(Arm::kCandidate), testing::IsEmpty());
}

TEST_F(VersionTrialTest, AShareOfTheUsersIsAnsweredByTheCandidate) {
  StartCanary();
  EXPECT_NEAR(UsersOf(Arm::kCandidate).size(), kNumUsers / 10, kNumUsers / 50);
  EXPECT_EQ(UsersOf(Arm::kCandidate).size() + UsersOf(Arm::kServed).size(),
            kNumUsers);
}

TEST_F(VersionTrialTest, TheSameVersionHasTheSameUsersAndAnotherOneOthers) {
  StartCanary();
  const std::vector<std::string> first = UsersOf(Arm::kCandidate);
  EXPECT_EQ(UsersOf(Arm::kCandidate), first);
  Start();  // as on another server
  EXPECT_EQ(UsersOf(Arm::kCandidate), first);
  Start(8);
  int in_both = 0;
  for (const std::string& user : first) {
    if (trial_->ArmOf(user) == Arm::kCandidate) ++in_both;
  }
  EXPECT_LT(in_both, static_cast<int>(first.size()) / 2);
}

TEST_F(VersionTrialTest, WithoutAnswersOfTheServedVersionNothingIsJudged) {
  options_.canary_share = 1;
  StartCanary();
  EXPECT_EQ(UsersOf(Arm::kCandidate).size(), kNumUsers);
  Answer(Arm::kCandidate, 95);
  Answer(Arm::kCandidate, 5, kQuick, absl::StatusCode::kInternal);
  Answer(Arm::kServed, 9);
  clock_.Advance(absl::Minutes(2));
  EXPECT_EQ(Judge(), Kind::kGoesOn);
  Answer(Arm::kServed, 1);
  EXPECT_EQ(Judge(), Kind::kPromote);
}

TEST_F(VersionTrialTest, AShadowThatThereIsNoTimeForEndsUndecided) {
  Start();
  Compare(4, 1);
  for (int i = 0; i < 6; ++i) trial_->Dropped();
  clock_.Advance(absl::Minutes(10) - absl::Seconds(1));
  EXPECT_EQ(Judge(), Kind::kGoesOn);
  clock_.Advance(absl::Seconds(1));
  const VersionTrial::Verdict verdict = trial_->Judge();
  EXPECT_EQ(verdict.kind, Kind::kUndecided);
  EXPECT_THAT(verdict.reason, HasSubstr("only 4 of 10 requests"));
  Compare(6, 1);  // enough after all
  EXPECT_EQ(Judge(), Kind::kGoesOn);
  EXPECT_EQ(Phase(), 2);
}

TEST_F(VersionTrialTest, AShadowThatFewAskForGoesOn) {
  Start();
  Compare(4, 1);
  for (int i = 0; i < 5; ++i) trial_->Dropped();
  clock_.Advance(absl::Hours(100));
  EXPECT_EQ(Judge(), Kind::kGoesOn);
}

TEST_F(VersionTrialTest, AShadowAloneEndsInAPromotion) {
  options_.canary_share = 0;
  Start();
  Compare(10, 1);
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(Judge(), Kind::kPromote);
}

TEST_F(VersionTrialTest, GoesOnUntilEnoughRequestsWereSeen) {
  Start();
  Compare(9, 1);
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(Judge(), Kind::kGoesOn);
  EXPECT_EQ(Phase(), 1);
  Compare(1, 1);
  EXPECT_EQ(Judge(), Kind::kGoesOn);
  ASSERT_EQ(Phase(), 2);
  Answer(Arm::kCandidate, 9);
  Answer(Arm::kServed, 100);
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(Judge(), Kind::kGoesOn);
  Answer(Arm::kCandidate, 1);
  EXPECT_EQ(Judge(), Kind::kPromote);
}

TEST_F(VersionTrialTest, TooLittleOverlapRollsBackAtOnce) {
  options_.min_overlap = 0.5;
  Start();
  Compare(5, 0.9);
  Compare(5, 0.05);
  const VersionTrial::Verdict verdict = trial_->Judge();
  EXPECT_EQ(verdict.kind, Kind::kRollBack);
  EXPECT_EQ(verdict.reason,
            "shadow: the mean overlap of 10 answers is 0.475, below 0.5");
  Compare(10, 0.9);
  EXPECT_EQ(Judge(), Kind::kGoesOn);
}

TEST_F(VersionTrialTest, RequestsThatItCannotScoreRollBack) {
  Start();
  Compare(18, 1);
  trial_->NotScored();
  trial_->NotScored();
  EXPECT_EQ(Judge(), Kind::kGoesOn);  // a tenth of them
  trial_->NotScored();
  EXPECT_THAT(trial_->Judge().reason,
              HasSubstr("3 of 21 requests could not be scored"));
}

TEST_F(VersionTrialTest, MoreFailuresThanTheServedVersionsRollBack) {
  StartCanary();
  const auto failed = absl::StatusCode::kInternal;
  Answer(Arm::kServed, 80);
  Answer(Arm::kServed, 20, kQuick, failed);
  Answer(Arm::kCandidate, 15);
  Answer(Arm::kCandidate, 6, kQuick, failed);
  EXPECT_EQ(Judge(), Kind::kGoesOn);  // 28.6 % beside 20 %
  Answer(Arm::kCandidate, 1, kQuick, failed);
  const VersionTrial::Verdict verdict = trial_->Judge();
  EXPECT_EQ(verdict.kind, Kind::kRollBack);
  EXPECT_THAT(verdict.reason,
              HasSubstr("31.82 % of 22 answers failed, 20.00 %"));
  EXPECT_EQ(ReadMetric(metrics_, "neumf_canary_failures_total",
                       {{"answered_by", "candidate"}}),
            7);
  EXPECT_EQ(ReadMetric(metrics_, "neumf_canary_duration_seconds",
                       {{"answered_by", "served"}}),
            80);
}

TEST_F(VersionTrialTest, WhatCallersDidWrongIsNobodysFailure) {
  StartCanary();
  Answer(Arm::kCandidate, 100, kQuick, absl::StatusCode::kCancelled);
  Answer(Arm::kCandidate, 100, kQuick, absl::StatusCode::kInvalidArgument);
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(Judge(), Kind::kGoesOn);
}

TEST_F(VersionTrialTest, SlowerAnswersRollBack) {
  StartCanary();
  Answer(Arm::kServed, 100, absl::Milliseconds(2));
  Answer(Arm::kCandidate, 90, absl::Milliseconds(2));
  Answer(Arm::kCandidate, 4, absl::Milliseconds(9));
  EXPECT_EQ(Judge(), Kind::kGoesOn);  // the p95 is as before
  Answer(Arm::kCandidate, 6, absl::Milliseconds(9));
  const VersionTrial::Verdict verdict = trial_->Judge();
  EXPECT_EQ(verdict.kind, Kind::kRollBack);
  EXPECT_THAT(verdict.reason, HasSubstr("the p95 of 100 answers"));
}

TEST_F(VersionTrialTest, ItsEndLetsGoOfTheModelWhoeverKeepsIt) {
  Start();
  const std::weak_ptr<const Snapshot> candidate = trial_->candidate();
  EXPECT_FALSE(candidate.expired());
  trial_->End();
  EXPECT_TRUE(candidate.expired());
  EXPECT_EQ(trial_->candidate(), nullptr);
  EXPECT_EQ(trial_->ArmOf("u0"), Arm::kNone);
  EXPECT_EQ(Phase(), 0);
}

TEST(TrialHolderTest, HoldsWhatIsOn) {
  TrialHolder holder;
  EXPECT_EQ(holder.Get(), nullptr);
  FakeClock clock;
  ServerMetrics metrics;
  VersionTrial::Options options;
  options.shadow_share = 1;
  testing::internal::CaptureStderr();
  const auto trial = std::make_shared<VersionTrial>(
      options, &clock, &metrics, MakeTestSnapshot(1).snapshot);
  testing::internal::GetCapturedStderr();
  holder.Set(trial);
  EXPECT_EQ(holder.Get(), trial);
  holder.Set(nullptr);
  EXPECT_EQ(holder.Get(), nullptr);
}

}  // namespace
}  // namespace neumf
