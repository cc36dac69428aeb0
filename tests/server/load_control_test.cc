#include "server/load_control.h"

#include <memory>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/test_snapshot.h"

namespace neumf {
namespace {

using absl::Milliseconds;
using absl::Seconds;

class LoadControlTest : public testing::Test {
 protected:
  LoadControlTest() {
    snapshot_ = MakeTestSnapshot(1).snapshot;
    TestSnapshot on_gpu = MakeTestSnapshot(2);
    on_gpu.snapshot->device_life = 1;
    gpu_snapshot_ = std::move(on_gpu.snapshot);
  }

  std::shared_ptr<PendingCall> Call(
      size_t num_users, RequestClass request_class = RequestClass::kSingle) {
    auto call = std::make_shared<PendingCall>();
    call->snapshot = snapshot_;
    call->queries.resize(num_users);
    call->request_class = request_class;
    call->enqueued = now_;
    return call;
  }
  std::shared_ptr<PendingCall> CallWithin(absl::Duration time) {
    auto call = Call(1);
    call->deadline = now_ + time;
    return call;
  }
  void Push(size_t num_users,
            RequestClass request_class = RequestClass::kSingle) {
    queue_.Push(Call(num_users, request_class));
  }

  // What comes of a call, "" for welcome.
  std::string Refusal(const PendingCall& call) {
    return Refusal(call, call.queries.size());
  }
  // The same when so many of its users need the scorer.
  std::string Refusal(const PendingCall& call, size_t num_scored) {
    const auto refusal =
        load_.Refuse(call, {call.queries.size(), num_scored}, queue_, now_);
    if (!refusal.has_value()) return "";
    EXPECT_GE(refusal->retry_after, Milliseconds(10));
    EXPECT_LE(refusal->retry_after, Seconds(1));
    switch (refusal->reason) {
      case ShedReason::kQueueFull:
        return "queue full";
      case ShedReason::kWaitTooLong:
        return "wait too long";
      case ShedReason::kOverloaded:
        return "overloaded";
      default:
        return "something else";
    }
  }

  void StartBatch() {
    batch_ = queue_.TakeBatch(load_.MaxBatchUsers(queue_.next_snapshot()));
    load_.BatchStarts(batch_, queue_, now_);
  }
  void EndBatch(absl::Duration took) {
    now_ += took;
    load_.BatchAnswered(now_, now_);
  }
  // A batch of a call about so many users, of whom the last need no scorer.
  void MixedBatch(size_t num_scored, size_t num_popular, absl::Duration scoring,
                  absl::Duration answering) {
    queue_.Push(MixedCall(num_scored, num_popular));
    batch_ = queue_.TakeBatch(num_scored + num_popular);
    load_.BatchStarts(batch_, queue_, now_);
    now_ += scoring + answering;
    load_.BatchAnswered(now_ - answering, now_);
  }
  std::shared_ptr<PendingCall> MixedCall(size_t num_scored,
                                         size_t num_popular) {
    auto call = Call(num_scored + num_popular);
    for (size_t i = num_scored; i < call->queries.size(); ++i) {
      call->queries[i].served_from = v1::SERVED_FROM_POPULAR;
    }
    return call;
  }
  // From now on a user takes `time`.
  void Measure(absl::Duration time) {
    for (int i = 0; i < 200; ++i) {
      Push(1);
      StartBatch();
      EndBatch(time);
    }
  }

  absl::Duration now_ = Seconds(1000);
  std::shared_ptr<const Snapshot> snapshot_;
  std::shared_ptr<const Snapshot> gpu_snapshot_;
  LoadControl load_{{}};
  RequestQueue queue_;
  std::vector<CallPiece> batch_;
};

TEST_F(LoadControlTest, ACpuGetsWhatItScoresInTheTimeOfABatch) {
  EXPECT_EQ(load_.MaxBatchUsers(*snapshot_), LoadControl::kFirstCpuBatchUsers);
  Measure(Milliseconds(1));
  EXPECT_EQ(load_.MaxBatchUsers(*snapshot_), 20U);
  Measure(absl::Microseconds(100));
  EXPECT_NEAR(static_cast<double>(load_.MaxBatchUsers(*snapshot_)), 200, 1);
  Measure(absl::Microseconds(1));
  EXPECT_EQ(load_.MaxBatchUsers(*snapshot_), LoadControl::kMostCpuBatchUsers);
  Measure(Seconds(1));
  EXPECT_EQ(load_.MaxBatchUsers(*snapshot_), 1U);
}

TEST_F(LoadControlTest, AFloodOfPopularAnswersMakesNoScorerLookFast) {
  Measure(Milliseconds(1));
  for (int i = 0; i < 200; ++i) {
    MixedBatch(0, 4, absl::ZeroDuration(), absl::Microseconds(1));
  }
  EXPECT_EQ(load_.MaxBatchUsers(*snapshot_), 20U);
}

TEST_F(LoadControlTest, OneScoredUserAmongPopularAnswersTellsThePace) {
  Measure(Milliseconds(1));
  for (int i = 0; i < 200; ++i) {
    MixedBatch(1, 3, Milliseconds(2), absl::ZeroDuration());
  }
  EXPECT_EQ(load_.MaxBatchUsers(*snapshot_), 10U);
}

TEST_F(LoadControlTest, AScoredUserIsChargedItsOwnAnswerAndNoOthers) {
  Measure(Milliseconds(1));
  for (int i = 0; i < 200; ++i) {
    MixedBatch(1, 3, Milliseconds(1), Milliseconds(3));
  }
  // A quarter of the time of the answers.
  EXPECT_EQ(load_.MaxBatchUsers(*snapshot_), 11U);
}

TEST_F(LoadControlTest, AFloodOfPopularAnswersIsWaitedFor) {
  for (int i = 0; i < 200; ++i) {
    MixedBatch(0, 4, absl::ZeroDuration(), Milliseconds(4));
  }
  queue_.Push(MixedCall(0, 39));
  const auto call = MixedCall(0, 1);
  call->deadline = now_ + Milliseconds(62);
  EXPECT_EQ(Refusal(*call, /*num_scored=*/0), "");
  call->deadline = now_ + Milliseconds(58);
  EXPECT_EQ(Refusal(*call, /*num_scored=*/0), "wait too long");
}

TEST_F(LoadControlTest, AStallAtTheFirstPopularAnswerCountsLittle) {
  MixedBatch(0, 1, absl::ZeroDuration(), Milliseconds(30));
  Push(1);
  StartBatch();
  const auto call = Call(1000, RequestClass::kMany);
  call->deadline = now_ + Seconds(1);
  EXPECT_EQ(Refusal(*call, /*num_scored=*/0), "");
}

TEST_F(LoadControlTest, CallersComeBackWhenHalfOfThePopularAnswersAreGiven) {
  for (int i = 0; i < 200; ++i) {
    MixedBatch(0, 4, absl::ZeroDuration(), Milliseconds(4));
  }
  queue_.Push(MixedCall(0, 400));
  const auto call = MixedCall(0, 1);
  call->deadline = now_ + Milliseconds(1);
  const auto refusal = load_.Refuse(*call, {1, 0}, queue_, now_);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_GE(refusal->retry_after, Milliseconds(95));
  EXPECT_LE(refusal->retry_after, Milliseconds(305));
}

TEST_F(LoadControlTest, PopularAnswersDoNotKeepMeasurementsOld) {
  Measure(Milliseconds(10));
  queue_.Push(MixedCall(0, 8));
  StartBatch();
  queue_.Push(MixedCall(0, 8));
  EXPECT_EQ(Refusal(*CallWithin(Milliseconds(1))), "wait too long");
  now_ += Seconds(1);
  EXPECT_EQ(Refusal(*CallWithin(Milliseconds(1))), "");
}

TEST_F(LoadControlTest, NobodyWaitsForTheScoringOfPopularAnswers) {
  Measure(Milliseconds(10));
  queue_.Push(MixedCall(0, 1));
  StartBatch();
  queue_.Push(MixedCall(1, 99));
  EXPECT_EQ(Refusal(*CallWithin(Milliseconds(34))), "");
  EXPECT_EQ(Refusal(*CallWithin(Milliseconds(32))), "wait too long");
}

TEST_F(LoadControlTest, AGpuGetsAPass) {
  Measure(Seconds(1));
  EXPECT_EQ(load_.MaxBatchUsers(*gpu_snapshot_), LoadControl::kGpuBatchUsers);
}

TEST_F(LoadControlTest, TheLimitsThatAreSetCount) {
  LoadControl::Options options;
  options.max_batch_users = 7;
  options.max_queue_users = 9;
  LoadControl load(options);
  EXPECT_EQ(load.MaxBatchUsers(*snapshot_), 7U);
  EXPECT_EQ(load.MaxBatchUsers(*gpu_snapshot_), 7U);
  Push(9);
  EXPECT_EQ(load.Refuse(*Call(1), {1, 1}, queue_, now_)->reason,
            ShedReason::kQueueFull);
}

TEST_F(LoadControlTest, TheQueueHoldsWhatIsScoredInHalfASecond) {
  Measure(absl::Microseconds(400));
  Push(1249);
  EXPECT_EQ(Refusal(*Call(1)), "");
  Push(1);
  EXPECT_EQ(Refusal(*Call(1)), "queue full");
}

TEST_F(LoadControlTest, TheQueueHoldsSomeWhateverTheyTake) {
  Measure(Seconds(1));
  Push(LoadControl::kFewestQueueUsers - 1);
  EXPECT_EQ(Refusal(*Call(1)), "");
  Push(1);
  EXPECT_EQ(Refusal(*Call(1)), "queue full");
}

TEST_F(LoadControlTest, CallsAboutManyUsersHaveRoomOfTheirOwn) {
  Measure(Seconds(1));
  Push(LoadControl::kFewestQueueUsers);
  EXPECT_EQ(Refusal(*Call(1000, RequestClass::kMany)), "");
  Push(LoadControl::kFewestQueueUsers * LoadControl::kManyQueueFactor,
       RequestClass::kMany);
  EXPECT_EQ(Refusal(*Call(1, RequestClass::kMany)), "queue full");
}

// What is expected must fit into two thirds of the time that is left.
TEST_F(LoadControlTest, RefusesWhatWouldMissItsDeadline) {
  Measure(Milliseconds(10));
  EXPECT_EQ(Refusal(*CallWithin(Milliseconds(16))), "");
  Push(1);
  StartBatch();  // 10 ms
  Push(3);       // 30 ms
  EXPECT_EQ(Refusal(*CallWithin(Milliseconds(76))), "");
  EXPECT_EQ(Refusal(*CallWithin(Milliseconds(74))), "wait too long");
  now_ += Milliseconds(5);
  EXPECT_EQ(Refusal(*CallWithin(Milliseconds(69))), "");
  EXPECT_EQ(Refusal(*CallWithin(Milliseconds(67))), "wait too long");
}

TEST_F(LoadControlTest, WhoComesLaterMayShareTheBatch) {
  Measure(Milliseconds(10));  // a batch has two users
  Push(1);
  StartBatch();
  Push(2);
  // The rest of the batch, the two, its own time, and who comes after it.
  EXPECT_EQ(Refusal(*CallWithin(Milliseconds(76))), "");
  EXPECT_EQ(Refusal(*CallWithin(Milliseconds(74))), "wait too long");
}

TEST_F(LoadControlTest, NoMoreShareItThanComeInTheMeantime) {
  Measure(Milliseconds(1));  // a batch has twenty
  Push(2);
  StartBatch();
  // Two, itself, and as many as come in the two milliseconds.
  EXPECT_EQ(Refusal(*CallWithin(absl::Microseconds(7600))), "");
  EXPECT_EQ(Refusal(*CallWithin(absl::Microseconds(7400))), "wait too long");
}

TEST_F(LoadControlTest, AnAnswerFromPopularityTakesNoneOfTheScorersTime) {
  Measure(Milliseconds(20));
  const auto call = CallWithin(Milliseconds(20));
  EXPECT_EQ(Refusal(*call, /*num_scored=*/1), "wait too long");
  EXPECT_EQ(Refusal(*call, /*num_scored=*/0), "");
}

TEST_F(LoadControlTest, ABatchThatIsLateEndsAtAnyMoment) {
  Measure(Milliseconds(10));
  Push(1);
  StartBatch();
  now_ += Seconds(10);
  EXPECT_EQ(Refusal(*CallWithin(Milliseconds(16))), "");
}

TEST_F(LoadControlTest, TheOtherClassTakesItsTurns) {
  Measure(Milliseconds(10));
  Push(1000, RequestClass::kMany);
  // A batch of the others, of two users, its own time, and who shares its batch.
  EXPECT_EQ(Refusal(*CallWithin(Milliseconds(61))), "");
  EXPECT_EQ(Refusal(*CallWithin(Milliseconds(59))), "wait too long");
  Push(2);
  // A batch more before it, and one more of the others.
  EXPECT_EQ(Refusal(*CallWithin(Milliseconds(121))), "");
  EXPECT_EQ(Refusal(*CallWithin(Milliseconds(119))), "wait too long");
}

TEST_F(LoadControlTest, SingleCallsTakeATurnBeforeEachBatchOfALargeCall) {
  Measure(Milliseconds(10));
  Push(2);
  const auto call = Call(10, RequestClass::kMany);
  // Ten users of its own, and two of the others five times.
  call->deadline = now_ + Milliseconds(301);
  EXPECT_EQ(Refusal(*call), "");
  call->deadline = now_ + Milliseconds(299);
  EXPECT_EQ(Refusal(*call), "wait too long");
}

TEST_F(LoadControlTest, WhatIsUnknownIsWelcome) {
  Push(100);
  EXPECT_EQ(Refusal(*CallWithin(Milliseconds(1))), "");
}

TEST_F(LoadControlTest, AnIdleScorerTriesWhatTookTooLongOnceInAWhile) {
  Measure(Milliseconds(10));
  EXPECT_EQ(Refusal(*CallWithin(Milliseconds(1))), "wait too long");
  now_ += Seconds(1);
  EXPECT_EQ(Refusal(*CallWithin(Milliseconds(1))), "");
}

TEST_F(LoadControlTest, OneStallDoesNotMakeItRefuseForLong) {
  Measure(Milliseconds(1));
  Push(1);
  StartBatch();
  EndBatch(Seconds(3600));
  Push(1);
  EXPECT_EQ(Refusal(*CallWithin(Milliseconds(10))), "");
}

TEST_F(LoadControlTest, AFailedBatchIsNoMeasurement) {
  Measure(Milliseconds(1));
  Push(1);
  StartBatch();
  now_ += Seconds(1);
  load_.BatchFailed();
  now_ += Milliseconds(500);
  EXPECT_EQ(Refusal(*CallWithin(Milliseconds(2))), "");
}

TEST_F(LoadControlTest, AQueueThatStandsTakesOnlyWhatHardlyWaits) {
  Measure(Milliseconds(1));
  EXPECT_EQ(load_.longest_wait(), absl::InfiniteDuration());
  // 250 ms of work wait all the time, for longer than two intervals.
  Push(250);
  for (int i = 0; i < 55; ++i) {
    Push(20);
    StartBatch();
    EndBatch(Milliseconds(20));
  }
  EXPECT_LT(load_.longest_wait(), Milliseconds(600));
  EXPECT_EQ(Refusal(*Call(1)), "overloaded");
  EXPECT_EQ(Refusal(*Call(1, RequestClass::kMany)), "");
  // Two batches make the target, twice of which may be waited for.
  while (queue_.num_users() > 60) {
    StartBatch();
    EndBatch(Milliseconds(20));
  }
  EXPECT_EQ(Refusal(*Call(1)), "");
}

}  // namespace
}  // namespace neumf
