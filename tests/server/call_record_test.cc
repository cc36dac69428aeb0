#include "server/call_record.h"

#include <gtest/gtest.h>

#include "tests/server/metric_reader.h"
#include "tests/support/fake_clock.h"

namespace neumf {
namespace {

class CallRecordTest : public testing::Test {
 protected:
  FakeClock clock_;
  ServerMetrics metrics_;
  CallRegistry registry_;
  grpc::CallbackServerContext context_;  // of a call without a deadline
  CallRecord record_{
      {&clock_, &metrics_, &registry_}, RpcMethod::kRecommend, &context_};
};

TEST_F(CallRecordTest, ACallThatIsNotFinishedIsNeverCut) {
  EXPECT_EQ(record_.deadline(), absl::InfiniteDuration());
  EXPECT_EQ(record_.cut_time(), absl::InfiniteDuration());
}

TEST_F(CallRecordTest, AClientWithoutADeadlineHasHalfAMinuteToTakeItsAnswer) {
  clock_.Advance(absl::Hours(1));
  record_.Finished(absl::StatusCode::kOk);
  EXPECT_EQ(record_.cut_time(), clock_.MonotonicNow() + absl::Seconds(30));
}

TEST_F(CallRecordTest, ItsTimeBeginsOnce) {
  const absl::Duration begin = clock_.MonotonicNow();
  record_.Ending();
  clock_.Advance(absl::Seconds(7));
  record_.Ending();
  record_.Finished(absl::StatusCode::kOk);
  EXPECT_EQ(record_.cut_time(), begin + absl::Seconds(30));
}

TEST_F(CallRecordTest, ACallWithoutADeadlineIsCancelledByItsCaller) {
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(record_.Cancelled().code(), absl::StatusCode::kCancelled);
}

TEST_F(CallRecordTest, ACallThatIsOverCannotBeCut) {
  record_.Finished(absl::StatusCode::kOk);
  record_.Done();
  record_.Cut();  // would touch a gRPC call that is not there
  EXPECT_EQ(ReadMetric(metrics_, "neumf_inflight_requests"), 0);
}

TEST_F(CallRecordTest, AMessageOfAStreamIsCountedWhenItComes) {
  const MetricLabels labels = {
      {"grpc_type", "bidi_stream"},
      {"grpc_service", "grpc.reflection.v1.ServerReflection"},
      {"grpc_method", "ServerReflectionInfo"}};
  const auto received = [&] {
    return ReadMetric(metrics_, "grpc_server_msg_received_total", labels);
  };
  CallRecord stream({&clock_, &metrics_, &registry_}, RpcMethod::kReflection,
                    &context_);
  EXPECT_EQ(received(), 0);
  stream.MessageReceived(100);
  EXPECT_EQ(received(), 1);
}

}  // namespace
}  // namespace neumf
