#include "server/warm_up.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/recent_queries.h"
#include "tests/server/test_snapshot.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

bool Never() { return false; }

size_t NumScored(const FakeScorer& scorer) {
  const std::vector<size_t> sizes = scorer.batch_sizes();
  return std::accumulate(sizes.begin(), sizes.end(), size_t{0});
}

TEST(RecentQueriesTest, RemembersTheLastOnesByName) {
  TinyModelOptions options;
  options.num_users = RecentQueries::kMaxQueries + 10;
  const TestSnapshot made = MakeTestSnapshot(1, options);
  RecentQueries recent;
  EXPECT_THAT(recent.Get(), SizeIs(0));
  ResolvedQuery query;
  query.seen_policy = v1::SEEN_POLICY_KEEP;
  for (uint32_t row = 0; row < options.num_users; ++row) {
    query.user_row = row;
    query.k = row + 1;
    recent.Add(query, *made.snapshot);
  }
  const std::vector<RecentQuery> queries = recent.Get();
  EXPECT_THAT(queries, SizeIs(RecentQueries::kMaxQueries));
  for (const RecentQuery& recalled : queries) {
    EXPECT_GT(recalled.k, 10U);  // the first ten are forgotten
    EXPECT_EQ(recalled.user_id, made.snapshot->user_ids->id(recalled.k - 1));
    EXPECT_EQ(recalled.seen_policy, v1::SEEN_POLICY_KEEP);
  }
}

TEST(WarmUpTest, AsksForSomeUsersAndForThoseWhoCameLast) {
  const TestSnapshot made = MakeTestSnapshot(1);
  const std::vector<RecentQuery> recent = {{"u1", 3, v1::SEEN_POLICY_DROP},
                                           {"nobody", 3, v1::SEEN_POLICY_DROP},
                                           {"u6", 5, v1::SEEN_POLICY_KEEP},
                                           {"u1", 3, v1::SEEN_POLICY_ONLY}};
  NEUMF_EXPECT_OK(
      WarmUp(*made.snapshot, recent, BackgroundPace::kQuarter, Never));
  EXPECT_EQ(NumScored(*made.scorer), kBackgroundUsers + 3);
  EXPECT_EQ(made.scorer->num_foreign_queries(), 0);
}

TEST(WarmUpTest, OneUserIsEnough) {
  TinyModelOptions options;
  options.num_users = 1;
  options.seen_per_user = 0;
  const TestSnapshot made = MakeTestSnapshot(1, options);
  NEUMF_EXPECT_OK(WarmUp(*made.snapshot, {}, BackgroundPace::kAll, Never));
  EXPECT_THAT(made.scorer->batch_sizes(), ElementsAre(1));
}

TEST(WarmUpTest, PassesOnWhatTheScorerSaysAndEndsWhenToldTo) {
  const TestSnapshot made = MakeTestSnapshot(1);
  EXPECT_THAT(
      WarmUp(*made.snapshot, {}, BackgroundPace::kAll, [] { return true; }),
      StatusIs(absl::StatusCode::kCancelled, testing::_));
  EXPECT_EQ(NumScored(*made.scorer), 0U);
  made.scorer->FailWith(absl::UnavailableError("gone"));
  EXPECT_THAT(WarmUp(*made.snapshot, {}, BackgroundPace::kAll, Never),
              StatusIs(absl::StatusCode::kUnavailable, "gone"));
}

}  // namespace
}  // namespace neumf
