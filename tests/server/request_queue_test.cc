#include "server/request_queue.h"

#include <memory>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/test_snapshot.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr RequestClass kSingle = RequestClass::kSingle;
constexpr RequestClass kMany = RequestClass::kMany;

class RequestQueueTest : public testing::Test {
 protected:
  RequestQueueTest()
      : snapshot_(MakeTestSnapshot(1).snapshot),
        next_(MakeTestSnapshot(2).snapshot) {}

  std::shared_ptr<PendingCall> Push(size_t num_users, RequestClass c) {
    auto call = std::make_shared<PendingCall>();
    call->snapshot = snapshot_;
    call->queries.resize(num_users);
    call->request_class = c;
    queue_.Push(call);
    return call;
  }
  // The numbers of users of the pieces.
  std::vector<size_t> Take(size_t most_users) {
    std::vector<size_t> counts;
    for (const CallPiece& piece : queue_.TakeBatch(most_users)) {
      counts.push_back(piece.count);
    }
    return counts;
  }

  std::shared_ptr<const Snapshot> snapshot_;
  std::shared_ptr<const Snapshot> next_;
  RequestQueue queue_;
};

TEST_F(RequestQueueTest, IsFirstComeFirstServed) {
  const auto first = Push(1, kSingle);
  const auto second = Push(1, kSingle);
  EXPECT_EQ(queue_.front(kSingle), first.get());
  EXPECT_EQ(queue_.front(kMany), nullptr);
  const std::vector<CallPiece> batch = queue_.TakeBatch(8);
  ASSERT_EQ(batch.size(), 2U);
  EXPECT_EQ(batch[0].call, first);
  EXPECT_EQ(batch[1].call, second);
  EXPECT_TRUE(queue_.empty());
}

TEST_F(RequestQueueTest, KnowsHowManyNeedTheScorer) {
  const auto call = std::make_shared<PendingCall>();
  call->snapshot = snapshot_;
  call->queries.resize(5);
  call->queries[1].served_from = v1::SERVED_FROM_POPULAR;
  call->queries[4].served_from = v1::SERVED_FROM_POPULAR;
  queue_.Push(call);
  Push(2, kMany);
  EXPECT_EQ(queue_.num_scored(kSingle), 3U);
  EXPECT_EQ(queue_.num_scored(), 5U);
  EXPECT_THAT(Take(2), ElementsAre(2));
  EXPECT_EQ(queue_.num_scored(kSingle), 2U);
  queue_.RemoveIf([&](const PendingCall& c) { return &c == call.get(); });
  EXPECT_EQ(queue_.num_scored(), 2U);
  queue_.PutBack({call});
  EXPECT_EQ(queue_.num_scored(kSingle), 3U);
}

TEST_F(RequestQueueTest, WhatIsPutBackComesFirstInItsOrder) {
  const auto first = Push(1, kSingle);
  const auto second = Push(2, kSingle);
  queue_.TakeBatch(8);
  const auto third = Push(1, kSingle);
  queue_.PutBack({first, second});
  EXPECT_EQ(queue_.num_users(), 4U);
  const std::vector<CallPiece> batch = queue_.TakeBatch(8);
  ASSERT_EQ(batch.size(), 3U);
  EXPECT_EQ(batch[0].call, first);
  EXPECT_EQ(batch[1].call, second);
  EXPECT_EQ(batch[1].first, 0U);
  EXPECT_EQ(batch[1].count, 2U);
  EXPECT_EQ(batch[2].call, third);
}

TEST_F(RequestQueueTest, CutsCallsIntoPieces) {
  Push(3, kMany);
  Push(4, kMany);
  const std::vector<CallPiece> batch = queue_.TakeBatch(5);
  ASSERT_EQ(batch.size(), 2U);
  EXPECT_TRUE(batch[0].is_last);
  EXPECT_EQ(batch[1].first, 0U);
  EXPECT_EQ(batch[1].count, 2U);
  EXPECT_FALSE(batch[1].is_last);
  EXPECT_EQ(queue_.num_users(kMany), 2U);
  const std::vector<CallPiece> rest = queue_.TakeBatch(5);
  ASSERT_EQ(rest.size(), 1U);
  EXPECT_EQ(rest[0].first, 2U);
  EXPECT_EQ(rest[0].count, 2U);
  EXPECT_TRUE(rest[0].is_last);
}

TEST_F(RequestQueueTest, TheClassesTakeTurns) {
  Push(5, kMany);
  for (int i = 0; i < 3; ++i) Push(1, kSingle);
  EXPECT_THAT(Take(2), ElementsAre(1, 1));
  EXPECT_THAT(Take(2), ElementsAre(2));
  EXPECT_THAT(Take(2), ElementsAre(1));
  EXPECT_THAT(Take(2), ElementsAre(2));
  EXPECT_THAT(Take(2), ElementsAre(1));
  EXPECT_TRUE(queue_.empty());
}

TEST_F(RequestQueueTest, ABatchIsOfOneSnapshot) {
  Push(1, kSingle);
  snapshot_.swap(next_);
  Push(1, kSingle);
  EXPECT_EQ(&queue_.next_snapshot(), next_.get());
  EXPECT_THAT(Take(8), ElementsAre(1));
  EXPECT_EQ(&queue_.next_snapshot(), snapshot_.get());
  EXPECT_THAT(Take(8), ElementsAre(1));
}

TEST_F(RequestQueueTest, VersionsThatComeMixedMakeABatchEach) {
  std::vector<std::shared_ptr<PendingCall>> calls;
  for (int i = 0; i < 6; ++i) {
    calls.push_back(Push(1, kSingle));
    snapshot_.swap(next_);
  }
  const std::vector<CallPiece> first = queue_.TakeBatch(2);
  ASSERT_EQ(first.size(), 2U);
  EXPECT_EQ(first[0].call, calls[0]);
  EXPECT_EQ(first[1].call, calls[2]);
  EXPECT_EQ(queue_.num_users(), 4U);
  // Who was passed by comes next, in order.
  const std::vector<CallPiece> second = queue_.TakeBatch(8);
  ASSERT_EQ(second.size(), 3U);
  EXPECT_EQ(second[0].call, calls[1]);
  EXPECT_EQ(second[1].call, calls[3]);
  EXPECT_EQ(second[2].call, calls[5]);
  EXPECT_THAT(Take(8), ElementsAre(1));
}

TEST_F(RequestQueueTest, RemovesWhereverTheyStand) {
  Push(1, kSingle);
  const auto single = Push(1, kSingle);
  const auto many = Push(4, kMany);
  Push(2, kMany);
  Take(1);  // of one class
  Take(1);  // and of the other
  const RequestQueue::Calls removed =
      queue_.RemoveIf([&](const PendingCall& call) {
        return &call == single.get() || &call == many.get();
      });
  EXPECT_THAT(removed, ElementsAre(single, many));
  EXPECT_EQ(queue_.num_users(kSingle), 0U);
  EXPECT_EQ(queue_.num_users(kMany), 2U);
}

TEST_F(RequestQueueTest, CountsWhatWaitsEvenOfCallsThatLetGoOfTheirQueries) {
  const auto many = Push(4, kMany);
  Take(1);
  many->Release();
  EXPECT_EQ(queue_.RemoveAll().size(), 1U);
  EXPECT_EQ(queue_.num_users(), 0U);
  EXPECT_THAT(queue_.RemoveAll(), IsEmpty());
}

}  // namespace
}  // namespace neumf
