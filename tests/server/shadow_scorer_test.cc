#include "server/shadow_scorer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/server/metric_reader.h"
#include "tests/server/test_snapshot.h"
#include "tests/support/eventually.h"
#include "tests/support/fake_clock.h"

namespace neumf {
namespace {

v1::RecommendResponse Answer(
    const std::vector<std::pair<std::string, float>>& items) {
  v1::RecommendResponse answer;
  for (const auto& [id, score] : items) {
    v1::ScoredItem* const item = answer.add_items();
    item->set_item_id(id);
    item->set_score(score);
  }
  return answer;
}

TEST(CompareAnswersTest, CountsWhatBothHoldWhereverItStands) {
  const Agreement agreement =
      CompareAnswers(Answer({{"a", 4}, {"b", 3}, {"c", 2}, {"d", 1}}),
                     Answer({{"x", 9}, {"d", 3}, {"y", 2}, {"a", 1}}));
  EXPECT_EQ(agreement.overlap, 0.5);
  EXPECT_EQ(agreement.drift, 2.5);
}

TEST(CompareAnswersTest, AShorterAnswerAgreesLess) {
  const auto longer = Answer({{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}});
  EXPECT_EQ(CompareAnswers(longer, Answer({{"a", 1}})).overlap, 0.25);
  EXPECT_EQ(CompareAnswers(Answer({{"a", 1}}), longer).overlap, 0.25);
}

TEST(CompareAnswersTest, EmptyAnswersAgreeOnlyWithEachOther) {
  EXPECT_EQ(CompareAnswers({}, {}).overlap, 1);
  EXPECT_EQ(CompareAnswers(Answer({{"a", 1}}), {}).overlap, 0);
  EXPECT_EQ(CompareAnswers({}, Answer({{"a", 1}})).drift, std::nullopt);
}

class ShadowScorerTest : public testing::Test {
 protected:
  ShadowScorerTest() {
    testing::internal::CaptureStderr();
    TestSnapshot made = MakeTestSnapshot(2);
    scorer_ = made.scorer;
    VersionTrial::Options options;
    options.shadow_share = 1;
    options.min_requests = 1;
    trial_ = std::make_shared<VersionTrial>(options, &clock_, &metrics_,
                                            std::move(made.snapshot));
    shadows_ = std::make_unique<ShadowScorer>(
        RequestLimits(),
        ShadowScorer::Parts{&clock_, &device_, &metrics_,
                            [this] { return is_busy_.load(); }});
  }
  ~ShadowScorerTest() override {
    scorer_->Unblock();
    shadows_.reset();
    testing::internal::GetCapturedStderr();
  }

  // What the served version has said of a user: the FakeScorer would begin with
  // i0 and i1, too.
  void Add(const std::string& user_id = "u0") {
    v1::RecommendRequest request;
    request.set_user_id(user_id);
    request.set_k(4);
    shadows_->Add({trial_, request,
                   Answer({{"i0", 1}, {"i1", 1}, {"i31", 1}, {"i32", 1}})});
  }
  double Requests(const std::string& result) {
    return ReadMetric(metrics_, "neumf_shadow_requests_total",
                      {{"result", result}});
  }
  bool Reach(const std::string& result, double count) {
    return Eventually([&] { return Requests(result) == count; });
  }

  FakeClock clock_;
  ServerMetrics metrics_;
  ScoringDevice device_{{}, /*uses_gpu=*/false, &metrics_, [] {}};
  std::atomic<bool> is_busy_{false};
  std::shared_ptr<FakeScorer> scorer_;
  std::shared_ptr<VersionTrial> trial_;
  std::unique_ptr<ShadowScorer> shadows_;
};

TEST_F(ShadowScorerTest, ScoresByTheCandidateAndCompares) {
  Add();
  ASSERT_TRUE(Reach("compared", 1));
  EXPECT_EQ(scorer_->num_foreign_queries(), 0);
  EXPECT_EQ(ReadMetric(metrics_, "neumf_shadow_overlap_ratio"), 1);
  EXPECT_EQ(ReadMetric(metrics_, "neumf_shadow_score_drift"), 1);
}

TEST_F(ShadowScorerTest, AUserThatTheCandidateDoesNotKnowIsNoAgreement) {
  Add("nobody");
  ASSERT_TRUE(Reach("compared", 1));
  EXPECT_EQ(ReadMetric(metrics_, "neumf_shadow_score_drift"), 0);
  EXPECT_THAT(scorer_->batch_sizes(), testing::IsEmpty());
}

TEST_F(ShadowScorerTest, FailuresAndExceptionsOfTheCandidateAreCounted) {
  scorer_->FailWith(absl::InternalError("broken"));
  Add();
  ASSERT_TRUE(Reach("failed", 1));
  scorer_->Throw();
  Add();
  ASSERT_TRUE(Reach("failed", 2));
  EXPECT_EQ(trial_->Judge().kind, VersionTrial::Verdict::Kind::kRollBack);
}

TEST_F(ShadowScorerTest, DropsWhatComesWhileCallersNeedTheScorer) {
  is_busy_ = true;
  Add();
  ASSERT_TRUE(Reach("dropped", 1));
  EXPECT_THAT(scorer_->batch_sizes(), testing::IsEmpty());
}

TEST_F(ShadowScorerTest, DropsWhatComesFasterThanItIsScored) {
  scorer_->Block();
  Add();
  scorer_->WaitUntilHeld();
  for (size_t i = 0; i < ShadowScorer::kMaxWaiting + 3; ++i) Add();
  EXPECT_EQ(Requests("dropped"), 3);
  scorer_->Unblock();
  EXPECT_TRUE(Reach("compared", 1 + ShadowScorer::kMaxWaiting));
}

TEST_F(ShadowScorerTest, DropsWhatBelongsToATrialThatIsOver) {
  trial_->End();
  Add();
  ASSERT_TRUE(Reach("dropped", 1));
}

TEST_F(ShadowScorerTest, RestsThreeTimesAsLongAsItWorked) {
  scorer_->Block();
  Add();
  scorer_->WaitUntilHeld();
  clock_.Advance(absl::Seconds(1));
  Add();
  scorer_->Unblock();
  int seconds = 0;
  ASSERT_TRUE(Eventually([&] {
    if (Requests("compared") == 2) return true;
    clock_.Advance(absl::Seconds(1));
    ++seconds;
    return false;
  }));
  EXPECT_GE(seconds, 3);
}

TEST_F(ShadowScorerTest, AStopDropsWhatWaits) {
  scorer_->Block();
  Add();
  scorer_->WaitUntilHeld();
  Add();
  scorer_->Unblock();
  shadows_->Stop();
  Add();
  EXPECT_EQ(Requests("dropped"), 1);
  EXPECT_LE(scorer_->batch_sizes().size(), 2U);
}

}  // namespace
}  // namespace neumf
