#include "server/reset_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

constexpr int64_t kMost = ResetGuard::kMostCalls;
constexpr int64_t kMore = ResetGuard::kCallsBetweenReports;

class ResetGuardTest : public testing::Test {
 protected:
  void Begin(const std::string& peer, int64_t times) {
    for (int64_t i = 0; i < times; ++i)
      calls_.push_back(guard_.CallBegan(peer, /*bytes=*/1));
  }
  // Of those that began last.
  void End(int64_t times) {
    for (int64_t i = 0; i < times; ++i) {
      guard_.CallEnded(calls_.back());
      calls_.pop_back();
    }
  }

  std::vector<std::pair<std::string, int64_t>> reports_;
  std::vector<ResetGuard::Peer*> calls_;
  ResetGuard guard_{[this](const std::string& peer, int64_t num_calls) {
    reports_.emplace_back(peer, num_calls);
  }};
};

TEST_F(ResetGuardTest, ReportsWhoHasMoreCallsThanStreams) {
  Begin("a", kMost);
  EXPECT_THAT(reports_, IsEmpty());
  Begin("a", 1);
  EXPECT_THAT(reports_, ElementsAre(Pair("a", kMost + 1)));
}

TEST_F(ResetGuardTest, ReportsAgainWhenTheFloodGoesOn) {
  Begin("a", kMost + 2 * kMore);
  EXPECT_THAT(reports_,
              ElementsAre(Pair("a", kMost + 1), Pair("a", kMost + 1 + kMore)));
}

TEST_F(ResetGuardTest, CountsEveryConnectionForItself) {
  Begin("a", kMost);
  Begin("b", kMost);
  EXPECT_THAT(reports_, IsEmpty());
  Begin("b", 1);
  EXPECT_THAT(reports_, ElementsAre(Pair("b", kMost + 1)));
}

TEST_F(ResetGuardTest, DoesNotCountCallsThatAreOver) {
  for (int i = 0; i < 5; ++i) {
    Begin("a", kMost);
    End(kMost);
  }
  EXPECT_THAT(reports_, IsEmpty());
}

TEST_F(ResetGuardTest, SumsTheBytesOfCallsWhileTheConnectionIsThere) {
  ResetGuard::Peer* const peer = guard_.Connected("a");
  Begin("a", 3);
  EXPECT_EQ(guard_.HandledBytes(peer), 3);
  guard_.MessageCame(calls_.back(), 20);
  EXPECT_EQ(guard_.HandledBytes(peer), 23);
  End(3);
  EXPECT_EQ(guard_.HandledBytes(peer), 23);
  Begin("a", 1);
  guard_.Disconnected(peer);
  EXPECT_EQ(guard_.HandledBytes(calls_.front()), 24);
  End(1);
  EXPECT_EQ(guard_.HandledBytes(guard_.Connected("a")), 0);
}

}  // namespace
}  // namespace neumf
