#include "server/call_record.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/time_util.h"
#include "tests/server/metric_reader.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

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

// A call with so much time, as the request log has it.
v1::LoggedCall Logged(absl::Duration timeout) {
  const TempDirectory directory;
  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  FakeClock clock;
  ServerMetrics metrics;
  CallRegistry registry;
  RequestLog::Options options;
  options.path = directory.Path("requests");
  RequestLog log(options, files.get(), &clock, &metrics);
  EXPECT_THAT(log.Start(), IsOk());
  CallParts parts{&clock, &metrics, &registry};
  parts.request_log = &log;
  parts.default_deadline = timeout;
  grpc::CallbackServerContext context;
  CallRecord record(parts, RpcMethod::kRecommend, &context);
  record.set_logged(std::make_unique<v1::LoggedCall>());
  record.Finished(absl::StatusCode::kOk);
  record.Done();
  log.Stop();
  v1::LoggedCall call;
  const auto line = ReadWholeFile(*files, options.path, 1 << 20);
  EXPECT_TRUE(line.ok()) << line.status();
  EXPECT_TRUE(
      google::protobuf::util::JsonStringToMessage(line.value_or(""), &call)
          .ok());
  EXPECT_EQ(call.code(), "OK");
  return call;
}

TEST(LoggedCallTest, HasTheTimeThatThereWasForIt) {
  EXPECT_EQ(Logged(absl::Seconds(7)).timeout().seconds(), 7);
  EXPECT_FALSE(Logged(absl::InfiniteDuration()).has_timeout());
}

TEST(LoggedCallTest, MoreTimeThanADurationMayHaveIsAnyTime) {
  const absl::Duration longest =
      absl::Seconds(google::protobuf::util::TimeUtil::kDurationMaxSeconds);
  EXPECT_TRUE(Logged(longest).has_timeout());
  EXPECT_FALSE(Logged(longest + absl::Seconds(1)).has_timeout());
  // The most that a caller can say: grpc-timeout: 99999999H.
  EXPECT_FALSE(Logged(absl::Hours(99'999'999)).has_timeout());
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
