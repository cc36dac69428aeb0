#include "server/version_history.h"

#include <memory>
#include <string>
#include <vector>

#include "tests/server/test_snapshot.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

const absl::Time kNow = absl::FromUnixMillis(1'700'000'000'250);

class VersionHistoryTest : public testing::Test {
 protected:
  uint64_t Serve(uint64_t version) {
    const uint64_t attempt = history_.Found(version, 500, kNow);
    history_.Loading(attempt);
    history_.Serving(attempt, *MakeTestSnapshot(version).snapshot, kNow);
    return attempt;
  }

  VersionHistory history_;
};

TEST_F(VersionHistoryTest, StartsEmpty) {
  EXPECT_TRUE(history_.List().empty());
}

TEST_F(VersionHistoryTest, FollowsAnAttemptUntilItServes) {
  const uint64_t attempt = history_.Found(7, 500, kNow);
  EXPECT_EQ(history_.List()[0].state(), v1::MODEL_STATE_FOUND);
  EXPECT_EQ(history_.List()[0].version(), "7");
  EXPECT_EQ(history_.List()[0].found_time().seconds(), 1'700'000'000);
  EXPECT_EQ(history_.List()[0].found_time().nanos(), 250'000'000);
  EXPECT_FALSE(history_.List()[0].has_load_time());

  history_.Loading(attempt);
  EXPECT_EQ(history_.List()[0].state(), v1::MODEL_STATE_LOADING);

  history_.Serving(attempt, *MakeTestSnapshot(7).snapshot, kNow);
  const v1::ModelVersion served = history_.List()[0];
  EXPECT_EQ(served.state(), v1::MODEL_STATE_SERVING);
  EXPECT_EQ(served.digest(), "d1935t");
  EXPECT_EQ(served.kind(), "neumf");
  EXPECT_EQ(served.resident_bytes(), 3000);
  EXPECT_EQ(served.user_count(), 7);
  EXPECT_EQ(served.item_count(), 33);
  EXPECT_EQ(served.load_time().seconds(), 1'700'000'000);
}

TEST_F(VersionHistoryTest, TheNextVersionRetiresTheOneBefore) {
  Serve(1);
  Serve(2);
  const std::vector<v1::ModelVersion> versions = history_.List();
  ASSERT_EQ(versions.size(), 2U);
  EXPECT_EQ(versions[0].version(), "2");
  EXPECT_EQ(versions[0].state(), v1::MODEL_STATE_SERVING);
  EXPECT_EQ(versions[1].state(), v1::MODEL_STATE_RETIRED);
  EXPECT_EQ(versions[1].resident_bytes(), 0);
}

TEST_F(VersionHistoryTest, WhatIsKeptWarmIsStandbyUntilItServesAgain) {
  const uint64_t first = Serve(1);
  const uint64_t second = history_.Found(2, 500, kNow);
  history_.Serving(second, *MakeTestSnapshot(2).snapshot, kNow, {first});
  EXPECT_EQ(history_.Get(first).state(), v1::MODEL_STATE_STANDBY);
  EXPECT_EQ(history_.Get(first).resident_bytes(), 3000);
  history_.Serving(first, *MakeTestSnapshot(1).snapshot, kNow);
  EXPECT_EQ(history_.Get(first).state(), v1::MODEL_STATE_SERVING);
  EXPECT_EQ(history_.Get(second).state(), v1::MODEL_STATE_RETIRED);
}

TEST_F(VersionHistoryTest, WhatIsNotKeptAnyMoreIsRetired) {
  const uint64_t first = Serve(1);
  const uint64_t second = history_.Found(2, 500, kNow);
  history_.Serving(second, *MakeTestSnapshot(2).snapshot, kNow, {first});
  history_.Kept({});
  EXPECT_EQ(history_.Get(first).state(), v1::MODEL_STATE_RETIRED);
  EXPECT_EQ(history_.Get(second).state(), v1::MODEL_STATE_SERVING);
}

TEST_F(VersionHistoryTest, TellsEveryChangeInItsOrder) {
  Serve(1);
  const VersionHistory::Changes present = history_.ChangesAfter(0);
  ASSERT_EQ(present.versions.size(), 1U);
  EXPECT_EQ(present.versions[0].state(), v1::MODEL_STATE_SERVING);
  EXPECT_TRUE(history_.ChangesAfter(present.until).versions.empty());
  Serve(2);
  std::vector<v1::ModelState> states;
  for (const auto& change : history_.ChangesAfter(present.until).versions) {
    states.push_back(change.state());
  }
  EXPECT_THAT(states, testing::ElementsAre(
                          v1::MODEL_STATE_FOUND, v1::MODEL_STATE_LOADING,
                          v1::MODEL_STATE_RETIRED, v1::MODEL_STATE_SERVING));
}

TEST_F(VersionHistoryTest, WhoIsFarBehindGetsTheLatestStates) {
  Serve(1);
  const uint64_t point = history_.ChangesAfter(0).until;
  for (uint64_t v = 2; v < 2 + VersionHistory::kMaxChanges; ++v) {
    history_.Refused(history_.Found(v, 500, kNow), "", "bad");
  }
  const VersionHistory::Changes changes = history_.ChangesAfter(point);
  EXPECT_EQ(changes.versions.size(), VersionHistory::kMaxRecords - 1);
  for (const v1::ModelVersion& version : changes.versions) {
    EXPECT_EQ(version.state(), v1::MODEL_STATE_REFUSED);
  }
  EXPECT_TRUE(history_.ChangesAfter(changes.until).versions.empty());
}

TEST_F(VersionHistoryTest, ARefusalSaysWhyAndLeavesTheServedOneAlone) {
  Serve(1);
  history_.Refused(history_.Found(2, 500, kNow), "abc", "too short");
  const std::vector<v1::ModelVersion> versions = history_.List();
  EXPECT_EQ(versions[0].state(), v1::MODEL_STATE_REFUSED);
  EXPECT_EQ(versions[0].reason(), "too short");
  EXPECT_EQ(versions[0].digest(), "abc");
  EXPECT_EQ(versions[1].state(), v1::MODEL_STATE_SERVING);
}

TEST_F(VersionHistoryTest, ARefusedFileThatIsBeingWrittenIsFoundAgain) {
  const uint64_t served = Serve(1);
  const uint64_t refused = history_.Found(2, 500, kNow);
  history_.Refused(refused, "abc", "too short");
  history_.SetWaiting(refused, true);
  EXPECT_EQ(history_.List()[0].state(), v1::MODEL_STATE_FOUND);
  EXPECT_EQ(history_.List()[0].reason(), "");
  const uint64_t point = history_.ChangesAfter(0).until;
  history_.SetWaiting(refused, true);  // nothing new
  history_.SetWaiting(served, true);
  EXPECT_TRUE(history_.ChangesAfter(point).versions.empty());
  history_.SetWaiting(refused, false);
  EXPECT_EQ(history_.List()[0].state(), v1::MODEL_STATE_REFUSED);
  EXPECT_EQ(history_.List()[0].reason(), "too short");
  EXPECT_EQ(history_.List()[1].state(), v1::MODEL_STATE_SERVING);
}

TEST_F(VersionHistoryTest, ReasonsAreAlwaysTextThatCanBeSent) {
  history_.Refused(history_.Found(1, 500, kNow), "", "tensor \xff\xfe");
  EXPECT_EQ(history_.List()[0].reason(), "tensor ??");
  history_.Refused(history_.Found(2, 500, kNow), "", std::string(9000, 'x'));
  EXPECT_EQ(history_.List()[0].reason().size(), 1024U);
}

TEST_F(VersionHistoryTest, ForgetsTheOldestFinishedAttempts) {
  Serve(1);
  for (uint64_t v = 2; v < 2 + 2 * VersionHistory::kMaxRecords; ++v) {
    history_.Refused(history_.Found(v, 500, kNow), "", "bad");
  }
  const std::vector<v1::ModelVersion> versions = history_.List();
  EXPECT_EQ(versions.size(), VersionHistory::kMaxRecords);
  EXPECT_EQ(versions.back().version(), "1");
  EXPECT_EQ(versions.back().state(), v1::MODEL_STATE_SERVING);
}

TEST_F(VersionHistoryTest, WatchersAreToldOfAnAttemptThatIsGivenUp) {
  int num_calls = 0;
  VersionHistory history([&] { ++num_calls; });
  const uint64_t attempt = history.Found(2, 500, kNow);
  history.Loading(attempt);
  const uint64_t point = history.ChangesAfter(0).until;
  history.Retired(attempt);
  EXPECT_EQ(num_calls, 3);
  const VersionHistory::Changes changes = history.ChangesAfter(point);
  ASSERT_EQ(changes.versions.size(), 1U);
  EXPECT_EQ(changes.versions[0].state(), v1::MODEL_STATE_RETIRED);
  EXPECT_FALSE(changes.versions[0].has_load_time());
}

TEST_F(VersionHistoryTest, LoadingAgainIsANewAttempt) {
  const uint64_t first = Serve(1);
  const uint64_t second = Serve(1);
  EXPECT_NE(first, second);
  EXPECT_EQ(history_.List().size(), 2U);
}

}  // namespace
}  // namespace neumf
