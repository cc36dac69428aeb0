#include "client/load_result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/load_report.h"
#include "client/rpc.h"
#include "tests/client/fake_server.h"

namespace neumf {
namespace {

using absl::StatusCode;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::Duration kNever = absl::InfiniteDuration();

LoadResult TwoSeconds() {
  return LoadResult(/*offered_rate=*/50, absl::Seconds(2),
                    /*deadline=*/absl::Milliseconds(100));
}

void Record(int count, const absl::Status& status, absl::Duration latency,
            LoadResult* result) {
  for (int i = 0; i < count; ++i) result->RecordCall(status, latency);
}
void Record(int count, StatusCode code, absl::Duration latency,
            LoadResult* result) {
  Record(count, absl::Status(code, "test"), latency, result);
}

absl::Status ErrorWithReason(grpc::StatusCode code, const std::string& reason) {
  return FromGrpcStatus(ErrorWithInfo(code, reason));
}
absl::Status Refusal() {
  return ErrorWithReason(grpc::StatusCode::UNAVAILABLE, "QUEUE_FULL");
}
absl::Status OverQuota() {
  return ErrorWithReason(grpc::StatusCode::RESOURCE_EXHAUSTED,
                         "QUOTA_EXCEEDED");
}

TEST(LoadResultTest, TellsRefusedCallsFromAnsweredAndFailedOnes) {
  LoadResult result = TwoSeconds();
  Record(7, StatusCode::kOk, absl::Milliseconds(3), &result);
  Record(5, Refusal(), absl::Microseconds(200), &result);
  Record(4, OverQuota(), absl::Microseconds(100), &result);
  Record(2, StatusCode::kDeadlineExceeded, absl::Milliseconds(100), &result);
  Record(1, StatusCode::kInternal, absl::Milliseconds(9), &result);

  EXPECT_EQ(result.num_calls(), 19);
  EXPECT_EQ(result.num_calls(StatusCode::kDeadlineExceeded), 2);
  EXPECT_EQ(result.answered().count(), 7);
  EXPECT_EQ(result.refused().count(), 5);
  EXPECT_EQ(result.refused().max(), absl::Microseconds(200));
  EXPECT_EQ(result.over_quota().count(), 4);
  EXPECT_EQ(result.over_quota().max(), absl::Microseconds(100));
  EXPECT_EQ(result.failed().count(), 3);
}

TEST(LoadResultTest, TakesNoOtherErrorForARefusal) {
  using grpc::StatusCode;
  LoadResult result = TwoSeconds();
  constexpr absl::Duration kSoon = absl::Microseconds(1);
  // gRPC says so itself when the server is gone.
  Record(1, absl::UnavailableError("connection refused"), kSoon, &result);
  Record(1, ErrorWithReason(StatusCode::UNAVAILABLE, "SCORER_FAILED"), kSoon,
         &result);
  Record(1,
         ErrorWithReason(StatusCode::RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE"),
         kSoon, &result);
  Record(1, ErrorWithReason(StatusCode::INTERNAL, "QUEUE_FULL"), kSoon,
         &result);

  EXPECT_EQ(result.refused().count(), 0);
  EXPECT_EQ(result.over_quota().count(), 0);
  EXPECT_EQ(result.failed().count(), 4);
}

TEST(LoadResultTest, CountsAnswersAfterTheDeadlineOutOfTheGoodput) {
  LoadResult result = TwoSeconds();
  Record(6, StatusCode::kOk, absl::Milliseconds(100), &result);
  Record(3, StatusCode::kOk, absl::Milliseconds(101), &result);
  Record(4, StatusCode::kUnavailable, absl::Milliseconds(1), &result);

  EXPECT_EQ(result.goodput(), 3);
}

TEST(LoadResultTest, TakesUnansweredCallsForEndlessOnes) {
  LoadResult result = TwoSeconds();
  Record(98, StatusCode::kOk, absl::Nanoseconds(90), &result);
  Record(1, StatusCode::kUnavailable, absl::Nanoseconds(1), &result);
  Record(1, StatusCode::kDeadlineExceeded, absl::Nanoseconds(1), &result);

  EXPECT_EQ(result.Quantile(0.98), absl::Nanoseconds(90));
  EXPECT_EQ(result.Quantile(0.99), kNever);
}

TEST(LoadResultTest, CountsCodesThatNobodyKnowsAsUnknown) {
  LoadResult result = TwoSeconds();
  Record(1, static_cast<StatusCode>(42), absl::Milliseconds(1), &result);

  EXPECT_EQ(result.num_calls(StatusCode::kUnknown), 1);
}

LoadResult Mixed() {
  LoadResult result = TwoSeconds();
  Record(80, StatusCode::kOk, absl::Nanoseconds(100), &result);
  Record(20, Refusal(), absl::Nanoseconds(50), &result);
  result.RecordFailedUsers(3);
  return result;
}

TEST(LoadReportTest, PrintsARowAKindOfCall) {
  EXPECT_EQ(LoadTable(Mixed()),
            "ms          calls    p50    p90    p99  p99.9    max\n"
            "all           100  0.000  never  never  never  never\n"
            "answered       80  0.000  0.000  0.000  0.000  0.000\n"
            "refused        20  0.000  0.000  0.000  0.000  0.000\n"
            "over_quota      0      -      -      -      -      -\n"
            "failed          0      -      -      -      -      -\n"
            "lag             0      -      -      -      -      -\n"
            "codes: OK 80, UNAVAILABLE 20\n"
            "offered 50.0 calls/s for 2s; goodput 40.0 answers/s within 100ms\n"
            "users of answered batches who got an error: 3\n");
}

TEST(LoadReportTest, PrintsJsonInSeconds) {
  EXPECT_THAT(
      LoadJson(Mixed()),
      AllOf(HasSubstr("{\"rate\": 50.000, \"duration_seconds\": 2.000000000, "),
            HasSubstr("\"goodput\": 40.000, "),
            HasSubstr("\"codes\": {\"OK\": 80, \"UNAVAILABLE\": 20}, "),
            HasSubstr("\"all\": {\"count\": 100, \"p50_seconds\": 0.000000100, "
                      "\"p90_seconds\": null, "),
            HasSubstr("\"failed\": {\"count\": 0}, "), Not(HasSubstr("\n"))));
}

TEST(LoadReportTest, PrintsASweep) {
  const std::vector<RateTrial> trials = {{Mixed(), RateVerdict::kMissed}};
  const RateSearchResult found = {25, /*limited_by_client=*/true};

  EXPECT_EQ(SweepTable(trials, found, absl::Milliseconds(50)),
            "calls/s  p50 ms  p99 ms  refused  over_quota  failed  "
            "lag p99 ms  goal\n"
            "   50.0   0.000   never       20           0       0  "
            "         -  missed\n"
            "highest rate with p99 <= 50ms: at least 25.0 calls/s\n");
  EXPECT_THAT(
      SweepJson(trials, found, absl::Milliseconds(50)),
      AllOf(HasSubstr("{\"highest_rate\": 25.000, "
                      "\"limited_by_client\": true, "),
            HasSubstr("[{\"verdict\": \"missed\", \"run\": {\"rate\"")));
}

TEST(LoadReportTest, SaysWhenAQuotaWasMeasured) {
  LoadResult result = Mixed();
  Record(7, OverQuota(), absl::Milliseconds(1), &result);
  constexpr char kWarning[] =
      "\ncalls beyond the caller's quota: 7; this measures the quota, not the "
      "server\n";
  const RateSearchResult found = {25, /*limited_by_client=*/false};

  EXPECT_THAT(LoadTable(result), EndsWith(kWarning));
  EXPECT_THAT(SweepTable({{result, RateVerdict::kMissed}}, found,
                         absl::Milliseconds(50)),
              EndsWith(kWarning));
  EXPECT_THAT(LoadJson(result), HasSubstr("\"over_quota\": {\"count\": 7, "));
}

}  // namespace
}  // namespace neumf
