#include "server/request_batcher.h"

#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "base/logging.h"
#include "server/errors.h"
#include "server/snapshot_holder.h"
#include "tests/server/metric_reader.h"
#include "tests/server/test_snapshot.h"
#include "tests/support/eventually.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr float kStamp = 1;  // the score of whatever the scorer ranks

void MakePopular(ResolvedQuery* query) {
  query->served_from = v1::SERVED_FROM_POPULAR;
}

// What came of a call.
class Answer {
 public:
  void Add(size_t first, absl::Span<const Ranking> rankings) {
    MutexLock lock(&mutex_);
    // In order, nothing twice; what is scored again comes from the first on.
    if (first == 0) rankings_.clear();
    NEUMF_CHECK(first == rankings_.size());
    rankings_.insert(rankings_.end(), rankings.begin(), rankings.end());
  }
  void End(const absl::Status& status) {
    MutexLock lock(&mutex_);
    status_ = status;
    ++times_;
    changed_.SignalAll();
  }
  void Wait() {
    MutexLock lock(&mutex_);
    while (times_ == 0) {
      NEUMF_CHECK(changed_.WaitFor(&mutex_, kFarTooLong));
    }
  }
  absl::Status status() {
    Wait();
    MutexLock lock(&mutex_);
    return status_;
  }
  std::vector<Ranking> rankings() {
    Wait();
    MutexLock lock(&mutex_);
    return rankings_;
  }
  int times() {
    MutexLock lock(&mutex_);
    return times_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  std::vector<Ranking> rankings_ ABSL_GUARDED_BY(mutex_);
  int times_ ABSL_GUARDED_BY(mutex_) = 0;
};

struct TestCall {
  std::shared_ptr<PendingCall> call;
  std::shared_ptr<Answer> answer;
};

TestCall MakeCall(std::shared_ptr<const Snapshot> snapshot, size_t num_users) {
  TestCall made{std::make_shared<PendingCall>(), std::make_shared<Answer>()};
  made.call->snapshot = std::move(snapshot);
  made.call->queries.resize(num_users);
  for (uint32_t i = 0; i < num_users; ++i) {
    made.call->queries[i].k = i + 1;  // tells the queries of a call apart
    made.call->queries[i].user_row = i % 7;
  }
  made.call->scored = [answer = made.answer](
                          size_t first, absl::Span<const Ranking> rankings) {
    answer->Add(first, rankings);
  };
  made.call->done = [answer = made.answer](const absl::Status& status) {
    answer->End(status);
  };
  return made;
}

class RequestBatcherTest : public testing::Test {
 protected:
  RequestBatcherTest() {
    TestSnapshot made = MakeTestSnapshot(1);
    scorer_ = made.scorer;
    snapshot_ = std::move(made.snapshot);
    options_.load.max_batch_users = 4;
    options_.load.max_queue_users = 8;
  }
  ~RequestBatcherTest() override {
    scorer_->Unblock();
    batcher_.reset();
  }

  void Start() {
    batcher_ = std::make_unique<RequestBatcher>(options_, &clock_, &device_,
                                                &recent_, &metrics_);
  }
  TestCall NewCall(size_t num_users) { return MakeCall(snapshot_, num_users); }
  TestCall Submit(size_t num_users,
                  RequestClass request_class = RequestClass::kSingle) {
    TestCall made = NewCall(num_users);
    made.call->request_class = request_class;
    NEUMF_EXPECT_OK(batcher_->Submit(made.call));
    return made;
  }
  // Of a user that the model does not know.
  TestCall NewPopularCall() {
    TestCall made = NewCall(1);
    MakePopular(&made.call->queries[0]);
    return made;
  }
  TestCall SubmitMany(size_t num_users) {
    return Submit(num_users, RequestClass::kMany);
  }
  // A call that the scorer holds until Unblock(); what is submitted now waits.
  TestCall SubmitAndHold() {
    scorer_->Block();
    TestCall made = Submit(1);
    scorer_->WaitUntilHeld();
    return made;
  }
  // Blocks one item of the snapshot.
  void Block(uint64_t row) {
    auto rows = std::make_shared<BlockedRows>();
    rows->allowed_items = ItemMask::All(snapshot_->shape().num_items);
    rows->allowed_items->Clear(row);
    rows->num_items = 1;
    snapshot_->blocked->Set(std::move(rows));
  }
  double Metric(const std::string& name, const MetricLabels& labels = {}) {
    return ReadMetric(metrics_, name, labels);
  }

  FakeClock clock_;
  ServerMetrics metrics_;
  RecentQueries recent_;
  ScoringDevice device_{{}, /*uses_gpu=*/true, &metrics_, [] {}};
  RequestBatcher::Options options_;
  std::shared_ptr<FakeScorer> scorer_;
  std::shared_ptr<const Snapshot> snapshot_;
  std::unique_ptr<RequestBatcher> batcher_;
};

TEST_F(RequestBatcherTest, AnswersEachQueryWithItsRanking) {
  Start();
  const TestCall call = Submit(3);
  const std::vector<Ranking> rankings = call.answer->rankings();
  NEUMF_EXPECT_OK(call.answer->status());
  ASSERT_EQ(rankings.size(), 3U);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(rankings[i].items.size(), i + 1);
}

TEST_F(RequestBatcherTest, WhatPilesUpMakesTheNextBatch) {
  Start();
  const TestCall first = SubmitAndHold();
  const std::vector<TestCall> calls = {Submit(1), Submit(1), Submit(2)};
  scorer_->Unblock();
  for (const TestCall& call : calls) NEUMF_EXPECT_OK(call.answer->status());
  EXPECT_THAT(scorer_->batch_sizes(), ElementsAre(1, 4));
}

TEST_F(RequestBatcherTest, NeverScoresMoreUsersAtOnceThanAllowed) {
  Start();
  const TestCall first = SubmitAndHold();
  const std::vector<TestCall> calls = {Submit(2), Submit(3), Submit(1)};
  scorer_->Unblock();
  for (const TestCall& call : calls) NEUMF_EXPECT_OK(call.answer->status());
  EXPECT_THAT(scorer_->batch_sizes(), ElementsAre(1, 4, 2));
}

TEST_F(RequestBatcherTest, ScoresMoreUsersAtOnceOnAGpuUnlessTold) {
  options_ = RequestBatcher::Options();
  Start();
  Submit(300).answer->Wait();
  TestSnapshot on_gpu = MakeTestSnapshot(2);
  on_gpu.snapshot->device_life = device_.life();
  const TestCall call = MakeCall(std::move(on_gpu.snapshot), 300);
  NEUMF_ASSERT_OK(batcher_->Submit(call.call));
  NEUMF_EXPECT_OK(call.answer->status());
  EXPECT_EQ(scorer_->batch_sizes().front(), 32U);
  EXPECT_THAT(on_gpu.scorer->batch_sizes(), ElementsAre(256, 44));
}

TEST_F(RequestBatcherTest, ScoresALargeCallInPieces) {
  options_.load.max_queue_users = 10;
  Start();
  const TestCall call = Submit(10);
  const std::vector<Ranking> rankings = call.answer->rankings();
  ASSERT_EQ(rankings.size(), 10U);
  for (size_t i = 0; i < 10; ++i) EXPECT_EQ(rankings[i].items.size(), i + 1);
  EXPECT_THAT(scorer_->batch_sizes(), ElementsAre(4, 4, 2));
}

TEST_F(RequestBatcherTest, WhatIsBlockedWhileACallIsScoredIsNotInItsAnswer) {
  Start();
  const TestCall held = SubmitAndHold();
  Block(0);
  scorer_->Unblock();
  const std::vector<Ranking> rankings = held.answer->rankings();
  NEUMF_EXPECT_OK(held.answer->status());
  ASSERT_EQ(rankings.size(), 1U);
  ASSERT_EQ(rankings[0].items.size(), 1U);
  EXPECT_EQ(rankings[0].items[0].row, 1U);
  EXPECT_EQ(rankings[0].eligible_count, 32U);
  EXPECT_THAT(scorer_->batch_sizes(), ElementsAre(1, 1));
  EXPECT_EQ(held.answer->times(), 1);
}

TEST_F(RequestBatcherTest, WhatIsBlockedBetweenTwoPiecesIsInNone) {
  options_.load.max_queue_users = 10;
  Start();
  const TestCall first = SubmitAndHold();
  const TestCall call = SubmitMany(6);
  scorer_->LetOneGo();
  scorer_->WaitUntilHeld();  // in its first piece
  Block(0);
  scorer_->Unblock();
  const std::vector<Ranking> rankings = call.answer->rankings();
  ASSERT_EQ(rankings.size(), 6U);
  for (size_t i = 0; i < 6; ++i) {
    ASSERT_EQ(rankings[i].items.size(), i + 1);
    EXPECT_EQ(rankings[i].items[0].row, 1U);
  }
  EXPECT_THAT(scorer_->batch_sizes(), ElementsAre(1, 4, 2, 4, 2));
}

TEST_F(RequestBatcherTest, WhatIsScoredAgainKeepsItsPlace) {
  Start();
  const TestCall held = SubmitAndHold();
  const TestCall next = Submit(4);
  Block(0);
  scorer_->Unblock();
  next.answer->Wait();
  EXPECT_EQ(held.answer->times(), 1);
  EXPECT_THAT(scorer_->batch_sizes(), ElementsAre(1, 4, 1));
}

TEST_F(RequestBatcherTest, AStopAnswersWhatWasToBeScoredAgain) {
  Start();
  const TestCall held = SubmitAndHold();
  Block(0);
  std::thread stopper([this] { batcher_->Stop(); });
  ASSERT_TRUE(Eventually([this] {
    batcher_->Submit(NewCall(1).call).IgnoreError();
    return Metric("neumf_requests_shed_total", {{"reason", "draining"}}) > 0;
  }));
  scorer_->Unblock();
  stopper.join();
  EXPECT_THAT(held.answer->status(), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(RequestBatcherTest, RemembersWhatWasAsked) {
  Start();
  NEUMF_EXPECT_OK(Submit(2).answer->status());
  const std::vector<RecentQuery> recent = recent_.Get();
  ASSERT_EQ(recent.size(), 2U);
  EXPECT_EQ(recent[0].user_id, "u0");
  EXPECT_EQ(recent[1].k, 2U);
}

TEST_F(RequestBatcherTest, CallsAboutOneUserTakeTurnsWithThoseAboutMany) {
  Start();
  const TestCall held = SubmitAndHold();
  const TestCall many = SubmitMany(10);
  std::vector<TestCall> singles;
  singles.reserve(6);
  for (int i = 0; i < 6; ++i) singles.push_back(Submit(1));
  scorer_->Unblock();
  for (const TestCall& call : singles) NEUMF_EXPECT_OK(call.answer->status());
  const std::vector<Ranking> rankings = many.answer->rankings();
  ASSERT_EQ(rankings.size(), 10U);
  for (size_t i = 0; i < 10; ++i) EXPECT_EQ(rankings[i].items.size(), i + 1);
  EXPECT_THAT(scorer_->batch_sizes(), ElementsAre(1, 4, 4, 4, 2, 2));
}

TEST_F(RequestBatcherTest, ACallThatIsCancelledBetweenPiecesIsNotScoredOn) {
  Start();
  scorer_->Block();
  const TestCall many = SubmitMany(10);
  scorer_->WaitUntilHeld();
  ASSERT_TRUE(many.call->Claim());
  scorer_->Unblock();
  NEUMF_EXPECT_OK(Submit(1).answer->status());
  EXPECT_TRUE(Eventually([&] { return Metric("neumf_queue_users") == 0; }));
  EXPECT_EQ(many.answer->times(), 0);
  EXPECT_EQ(scorer_->batch_sizes().front(), 4U);
  EXPECT_EQ(Metric("neumf_requests_cancelled_total", {{"stage", "queue"}}), 1);
  batcher_->Stop();
  EXPECT_EQ(many.call->snapshot, nullptr);
}

TEST_F(RequestBatcherTest, APieceThatFailsIsTheEndOfItsCall) {
  Start();
  scorer_->FailWith(absl::UnavailableError("the device is gone"));
  const TestCall many = SubmitMany(10);
  EXPECT_THAT(many.answer->status(), StatusIs(absl::StatusCode::kUnavailable));
  scorer_->FailWith(absl::OkStatus());
  NEUMF_EXPECT_OK(Submit(1).answer->status());
  EXPECT_EQ(many.answer->times(), 1);
  EXPECT_THAT(scorer_->batch_sizes(), ElementsAre(4, 1));
}

TEST_F(RequestBatcherTest, RefusesWhatWouldMissItsDeadline) {
  Start();
  scorer_->Block();
  const TestCall measured = Submit(1);
  scorer_->WaitUntilHeld();
  clock_.Advance(absl::Milliseconds(10));
  scorer_->Unblock();
  NEUMF_EXPECT_OK(measured.answer->status());
  const TestCall held = SubmitAndHold();  // 10 ms from now, by the last one
  TestCall late = NewCall(1);
  late.call->deadline = clock_.MonotonicNow() + absl::Milliseconds(15);
  const absl::Status status = batcher_->Submit(late.call);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(ToRpcStatus(status).SerializeAsString(),
              HasSubstr("WAIT_TOO_LONG"));
  EXPECT_EQ(Metric("neumf_requests_shed_total", {{"reason", "wait_too_long"}}),
            1);
  late.call->deadline = clock_.MonotonicNow() + absl::Milliseconds(50);
  NEUMF_EXPECT_OK(batcher_->Submit(late.call));
}

TEST_F(RequestBatcherTest, AQueueThatStandsIsCutBack) {
  constexpr int kCalls = 100;
  options_.load.max_queue_users = 2 * kCalls;
  Start();
  const TestCall held = SubmitAndHold();
  std::vector<TestCall> waiting;
  waiting.reserve(kCalls);
  for (int i = 0; i < kCalls; ++i) waiting.push_back(Submit(2));
  // Keeps the scorer busy to the end: such calls may wait.
  const TestCall many = SubmitMany(400);
  // Batches take so long that for many intervals everybody waits too long.
  for (int i = 0; i < 40; ++i) {
    clock_.Advance(QueueDelay::kInterval - absl::Milliseconds(1));
    scorer_->LetOneGo();
    if (waiting.back().answer->times() > 0) break;
  }
  scorer_->Unblock();
  int num_shed = 0;
  for (const TestCall& call : waiting) {
    if (!call.answer->status().ok()) ++num_shed;
  }
  EXPECT_GT(num_shed, 0);
  EXPECT_EQ(Metric("neumf_requests_shed_total", {{"reason", "overloaded"}}),
            num_shed);
}

TEST_F(RequestBatcherTest, IsBehindWhenMoreSingleCallsWaitThanABatchTakes) {
  Start();
  const TestCall held = SubmitAndHold();
  SubmitMany(20);
  for (int i = 0; i < 4; ++i) Submit(1);
  EXPECT_FALSE(batcher_->IsBehind());
  const TestCall last = Submit(1);
  EXPECT_TRUE(batcher_->IsBehind());
  scorer_->Unblock();
  last.answer->Wait();
  EXPECT_FALSE(batcher_->IsBehind());
}

TEST_F(RequestBatcherTest, RefusesWhatDoesNotFitTheQueue) {
  Start();
  const TestCall held = SubmitAndHold();
  const TestCall waiting = Submit(6);
  const TestCall refused = NewCall(3);
  const absl::Status status = batcher_->Submit(refused.call);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(ToRpcStatus(status).SerializeAsString(), HasSubstr("QUEUE_FULL"));
  EXPECT_GE(RetryDelay(status), absl::Milliseconds(10));
  EXPECT_LE(RetryDelay(status), absl::Seconds(1));
  EXPECT_EQ(Metric("neumf_queue_users"), 6);
  EXPECT_EQ(Metric("neumf_requests_shed_total", {{"reason", "queue_full"}}), 1);
  NEUMF_EXPECT_OK(batcher_->Submit(NewCall(2).call));
  EXPECT_EQ(refused.answer->times(), 0);
  EXPECT_TRUE(refused.call->Claim());
}

TEST_F(RequestBatcherTest, AFloodOfPopularCallsFillsTheQueueAndIsRefused) {
  Start();
  const TestCall held = SubmitAndHold();
  std::vector<TestCall> taken;
  for (int i = 0; i < 8; ++i) {
    taken.push_back(NewPopularCall());
    NEUMF_ASSERT_OK(batcher_->Submit(taken.back().call));
  }
  EXPECT_EQ(Metric("neumf_queue_users"), 8);
  EXPECT_THAT(
      ToRpcStatus(batcher_->Submit(NewPopularCall().call)).SerializeAsString(),
      HasSubstr("QUEUE_FULL"));
  EXPECT_EQ(taken.front().answer->times(), 0);
  scorer_->Unblock();
  for (const TestCall& call : taken) NEUMF_EXPECT_OK(call.answer->status());
  EXPECT_THAT(scorer_->batch_sizes(), ElementsAre(1));
}

TEST_F(RequestBatcherTest, APopularCallWhoseDeadlinePassedIsNotAnswered) {
  Start();
  const TestCall held = SubmitAndHold();
  const TestCall popular = NewPopularCall();
  popular.call->deadline = clock_.MonotonicNow() + absl::Seconds(1);
  NEUMF_ASSERT_OK(batcher_->Submit(popular.call));
  clock_.Advance(absl::Seconds(1));
  scorer_->Unblock();
  EXPECT_THAT(popular.answer->status(),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

// Every pattern of five queries, popular ones among them: in two pieces, too.
TEST_F(RequestBatcherTest, PopularQueriesKeepTheirPlaceAmongScoredOnes) {
  Start();
  for (unsigned pattern = 0; pattern < 32; ++pattern) {
    const TestCall made = NewCall(5);
    for (size_t i = 0; i < 5; ++i) {
      if ((pattern >> i & 1) != 0) MakePopular(&made.call->queries[i]);
    }
    NEUMF_ASSERT_OK(batcher_->Submit(made.call));
    const std::vector<Ranking> rankings = made.answer->rankings();
    ASSERT_EQ(rankings.size(), 5U);
    for (size_t i = 0; i < 5; ++i) {
      ASSERT_EQ(rankings[i].items.size(), i + 1) << pattern;
      const bool is_popular = rankings[i].items[0].score != kStamp;
      EXPECT_EQ(is_popular, (pattern >> i & 1) != 0) << pattern;
    }
  }
}

TEST_F(RequestBatcherTest, TakesACallLargerThanTheQueueWhenNothingWaits) {
  Start();
  NEUMF_EXPECT_OK(Submit(20).answer->status());
}

TEST_F(RequestBatcherTest, ExpiredCallsAreAnsweredAndNotScored) {
  Start();
  const TestCall held = SubmitAndHold();
  TestCall expiring = NewCall(1);
  expiring.call->deadline = clock_.MonotonicNow() + absl::Seconds(1);
  NEUMF_ASSERT_OK(batcher_->Submit(expiring.call));
  const TestCall patient = Submit(2);
  clock_.Advance(absl::Seconds(1));
  scorer_->Unblock();
  EXPECT_THAT(expiring.answer->status(),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  NEUMF_EXPECT_OK(patient.answer->status());
  EXPECT_THAT(scorer_->batch_sizes(), ElementsAre(1, 2));
  EXPECT_EQ(Metric("neumf_requests_expired_total", {{"stage", "queue"}}), 1);
}

TEST_F(RequestBatcherTest, ADeadlineThatPassesWhileScoringIsNoAnswerEither) {
  Start();
  scorer_->Block();
  TestCall call = NewCall(1);
  call.call->deadline = clock_.MonotonicNow() + absl::Seconds(1);
  NEUMF_ASSERT_OK(batcher_->Submit(call.call));
  scorer_->WaitUntilHeld();
  clock_.Advance(absl::Seconds(2));
  scorer_->Unblock();
  EXPECT_THAT(call.answer->status(),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(Metric("neumf_requests_expired_total", {{"stage", "encode"}}), 1);
}

TEST_F(RequestBatcherTest, CancelledCallsLeaveTheQueueWhereverTheyStand) {
  Start();
  const TestCall held = SubmitAndHold();
  const TestCall before = Submit(4);
  const TestCall cancelled = Submit(4);
  ASSERT_TRUE(cancelled.call->Claim());
  scorer_->Unblock();
  NEUMF_EXPECT_OK(before.answer->status());
  NEUMF_EXPECT_OK(Submit(1).answer->status());
  EXPECT_EQ(cancelled.answer->times(), 0);
  EXPECT_THAT(scorer_->batch_sizes(), ElementsAre(1, 4, 1));
  EXPECT_EQ(Metric("neumf_requests_cancelled_total", {{"stage", "queue"}}), 1);
  EXPECT_EQ(Metric("neumf_queue_users"), 0);
}

TEST_F(RequestBatcherTest, ACallThatIsCancelledWhileScoringIsNotAnswered) {
  Start();
  const TestCall held = SubmitAndHold();
  ASSERT_TRUE(held.call->Claim());
  scorer_->Unblock();
  NEUMF_EXPECT_OK(Submit(1).answer->status());
  EXPECT_EQ(held.answer->times(), 0);
  EXPECT_EQ(Metric("neumf_requests_cancelled_total", {{"stage", "score"}}), 1);
}

TEST_F(RequestBatcherTest, ACallThatExpiresWhileScoringIsNoCancelledOne) {
  Start();
  scorer_->Block();
  const TestCall call = NewCall(1);
  call.call->deadline = clock_.MonotonicNow() + absl::Seconds(1);
  NEUMF_ASSERT_OK(batcher_->Submit(call.call));
  scorer_->WaitUntilHeld();
  clock_.Advance(absl::Seconds(2));
  ASSERT_TRUE(call.call->Claim());  // as the registry does at the deadline
  scorer_->Unblock();
  NEUMF_EXPECT_OK(Submit(1).answer->status());
  EXPECT_EQ(call.answer->times(), 0);
  EXPECT_EQ(Metric("neumf_requests_expired_total", {{"stage", "score"}}), 1);
  EXPECT_EQ(Metric("neumf_requests_cancelled_total", {{"stage", "score"}}), 0);
}

TEST_F(RequestBatcherTest, CallsThatOthersFinishedPinNoModel) {
  Start();
  const TestCall held = SubmitAndHold();
  const TestCall waiting = Submit(1);
  ASSERT_TRUE(held.call->Claim());
  ASSERT_TRUE(waiting.call->Claim());
  scorer_->Unblock();
  NEUMF_EXPECT_OK(Submit(1).answer->status());
  EXPECT_EQ(held.call->snapshot, nullptr);
  EXPECT_EQ(waiting.call->snapshot, nullptr);
}

TEST_F(RequestBatcherTest, AFailingScorerMakesTheBatchUnavailable) {
  Start();
  scorer_->FailWith(absl::UnavailableError("the device is gone"));
  const absl::Status status = Submit(2).answer->status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable,
                               testing::Not(HasSubstr("device"))));
  EXPECT_THAT(ToRpcStatus(status).SerializeAsString(),
              HasSubstr("SCORER_FAILED"));
  scorer_->FailWith(absl::OkStatus());
  NEUMF_EXPECT_OK(Submit(1).answer->status());
}

TEST_F(RequestBatcherTest, AFailingScorerFailsNoPopularCallOfItsBatch) {
  Start();
  const TestCall held = SubmitAndHold();
  const TestCall scored = Submit(1);
  const TestCall popular = NewPopularCall();
  NEUMF_ASSERT_OK(batcher_->Submit(popular.call));
  scorer_->FailWith(absl::UnavailableError("the device is gone"));
  scorer_->Unblock();
  EXPECT_THAT(scored.answer->status(),
              StatusIs(absl::StatusCode::kUnavailable));
  NEUMF_EXPECT_OK(popular.answer->status());
  ASSERT_EQ(popular.answer->rankings().size(), 1U);
  EXPECT_EQ(popular.answer->rankings()[0].items.size(), 1U);
}

TEST_F(RequestBatcherTest, AThrowingScorerMakesTheBatchUnavailable) {
  Start();
  scorer_->Throw();
  EXPECT_THAT(Submit(2).answer->status(),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(RequestBatcherTest, AGpuThatFailsIsReportedAndNotAskedAgain) {
  TestSnapshot made = MakeTestSnapshot(2);
  made.snapshot->device_life = device_.life();
  const std::shared_ptr<const Snapshot> on_gpu = std::move(made.snapshot);
  made.scorer->FailWith(absl::UnavailableError("the device is gone"));
  Start();
  for (int i = 0; i < 2; ++i) {
    const TestCall call = MakeCall(on_gpu, 1);
    NEUMF_ASSERT_OK(batcher_->Submit(call.call));
    EXPECT_THAT(ToRpcStatus(call.answer->status()).SerializeAsString(),
                HasSubstr("SCORER_FAILED"));
  }
  EXPECT_TRUE(device_.IsDead(*on_gpu));
  EXPECT_THAT(made.scorer->batch_sizes(), ElementsAre(1));
  EXPECT_EQ(Metric("neumf_device_errors_total"), 1);
  NEUMF_EXPECT_OK(Submit(1).answer->status());  // the CPU serves on
}

TEST_F(RequestBatcherTest, FailuresThatAreNotTheGpusLoseNone) {
  Start();
  scorer_->FailWith(absl::UnavailableError("not on a GPU"));
  EXPECT_FALSE(Submit(1).answer->status().ok());
  TestSnapshot made = MakeTestSnapshot(2);
  made.snapshot->device_life = device_.life();
  made.scorer->Throw();
  const TestCall call = MakeCall(std::move(made.snapshot), 1);
  NEUMF_ASSERT_OK(batcher_->Submit(call.call));
  EXPECT_FALSE(call.answer->status().ok());
  EXPECT_FALSE(device_.lost());
}

TEST_F(RequestBatcherTest, CountsTheItemsThatWereRescored) {
  Start();
  Submit(3).answer->Wait();
  EXPECT_EQ(Metric("neumf_rescored_items_total"), 3 * FakeScorer::kRescored);
}

TEST_F(RequestBatcherTest, ABatchNeverMixesSnapshots) {
  Start();
  TestSnapshot made = MakeTestSnapshot(2);
  const std::shared_ptr<const Snapshot> next = std::move(made.snapshot);
  const TestCall held = SubmitAndHold();
  std::vector<TestCall> calls = {Submit(1), Submit(1), MakeCall(next, 1),
                                 MakeCall(next, 1)};
  NEUMF_ASSERT_OK(batcher_->Submit(calls[2].call));
  NEUMF_ASSERT_OK(batcher_->Submit(calls[3].call));
  calls.push_back(Submit(1));
  scorer_->Unblock();
  for (const TestCall& call : calls) NEUMF_EXPECT_OK(call.answer->status());
  EXPECT_THAT(scorer_->batch_sizes(), ElementsAre(1, 3));
  EXPECT_THAT(made.scorer->batch_sizes(), ElementsAre(2));
  EXPECT_EQ(scorer_->num_foreign_queries(), 0);
  EXPECT_EQ(made.scorer->num_foreign_queries(), 0);
}

TEST_F(RequestBatcherTest, WaitsForAFullBatchWhenAskedTo) {
  options_.max_queue_delay = absl::Seconds(1);
  Start();
  const std::vector<TestCall> calls = {Submit(1), Submit(1), Submit(2)};
  for (const TestCall& call : calls) NEUMF_EXPECT_OK(call.answer->status());
  EXPECT_THAT(scorer_->batch_sizes(), ElementsAre(4));
}

TEST_F(RequestBatcherTest, WaitsNoLongerThanAllowed) {
  options_.max_queue_delay = absl::Seconds(1);
  Start();
  const TestCall call = Submit(1);
  clock_.Advance(absl::Seconds(1));
  NEUMF_EXPECT_OK(call.answer->status());
}

TEST_F(RequestBatcherTest, StopAnswersWhatWaitsAndRefusesWhatComes) {
  Start();
  const TestCall held = SubmitAndHold();
  const TestCall waiting = Submit(2);
  std::thread stopper([&] { batcher_->Stop(); });
  // Refused as DRAINING once Stop() has begun; the queue has room.
  EXPECT_TRUE(Eventually([&] {
    return !batcher_->Submit(NewCall(1).call).ok() &&
           Metric("neumf_requests_shed_total", {{"reason", "draining"}}) > 0;
  }));
  scorer_->Unblock();
  stopper.join();
  NEUMF_EXPECT_OK(held.answer->status());
  EXPECT_THAT(waiting.answer->status(),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(RetryDelay(waiting.answer->status()), absl::Milliseconds(50));
  EXPECT_THAT(scorer_->batch_sizes(), ElementsAre(1));
  batcher_->Stop();
}

TEST_F(RequestBatcherTest, TheHeartbeatStandsStillWhileTheScorerHolds) {
  Start();
  EXPECT_EQ(batcher_->last_heartbeat(), clock_.MonotonicNow());
  const TestCall held = SubmitAndHold();
  const absl::Duration before = batcher_->last_heartbeat();
  clock_.Advance(absl::Seconds(10));
  EXPECT_EQ(batcher_->last_heartbeat(), before);
  scorer_->Unblock();
  held.answer->Wait();
}

TEST_F(RequestBatcherTest, EveryStageIsObservedOnceACall) {
  Start();
  const TestCall first = Submit(3);
  const TestCall second = Submit(1);
  first.answer->Wait();
  second.answer->Wait();
  for (const char* stage : {"queue", "gather", "score"}) {
    EXPECT_EQ(Metric("neumf_stage_duration_seconds", {{"stage", stage}}), 2);
  }
}

TEST_F(RequestBatcherTest, ACallIsEitherAnsweredOrClaimedByAnotherNeverBoth) {
  constexpr int kCalls = 2000;
  options_.load.max_queue_users = kCalls;
  Start();
  std::vector<TestCall> calls;
  calls.reserve(kCalls);
  for (int i = 0; i < kCalls; ++i) calls.push_back(NewCall(1));
  std::vector<int> claimed(kCalls, 0);
  std::atomic<int> submitted{0};
  std::thread canceller([&] {
    for (int i = 0; i < kCalls; ++i) {
      while (submitted <= i) std::this_thread::yield();
      if (i % 2 == 0) claimed[i] = calls[i].call->Claim() ? 1 : 0;
    }
  });
  for (int i = 0; i < kCalls; ++i) {
    NEUMF_EXPECT_OK(batcher_->Submit(calls[i].call));
    ++submitted;
  }
  canceller.join();
  batcher_->Stop();
  for (int i = 0; i < kCalls; ++i) {
    EXPECT_EQ(calls[i].answer->times() + claimed[i], 1) << i;
  }
}

// Four callers ask without a pause while versions change under them.
class SwappingTest : public RequestBatcherTest {
 protected:
  static constexpr uint64_t kVersions = 100;

  // Asks until the last version has answered.
  void Ask() {
    uint64_t last = 0;
    while (last < kVersions) {
      const TestCall call = MakeCall(holder_.Get(), 2);
      NEUMF_ASSERT_OK(batcher_->Submit(call.call));  // the queue holds all
      const std::vector<Ranking> rankings = call.answer->rankings();
      const uint64_t version = call.call->snapshot->version;
      for (const Ranking& ranking : rankings) {
        if (ranking.items[0].score != static_cast<float>(version)) ++wrong_;
      }
      if (version < last) ++wrong_;
      last = version;
      ++answered_;
    }
  }

  SnapshotHolder holder_;
  std::atomic<uint64_t> answered_{0};
  std::atomic<int> wrong_{0};
};

TEST_F(SwappingTest, AnswersAreOfTheVersionTheyNameWhateverIsSwappedIn) {
  Start();
  holder_.Swap(MakeTestSnapshot(1).snapshot);
  std::vector<std::thread> callers;
  callers.reserve(4);
  for (int t = 0; t < 4; ++t) callers.emplace_back([this] { Ask(); });
  for (uint64_t v = 2; v <= kVersions; ++v) {
    EXPECT_TRUE(Eventually([&] { return answered_ >= v; }));  // they overlap
    holder_.Swap(MakeTestSnapshot(v).snapshot);
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong_, 0);
}

}  // namespace
}  // namespace neumf
