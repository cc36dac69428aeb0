#include "server/request_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/time_util.h"
#include "tests/server/metric_reader.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kSalt[] = "a secret of the operators";

class RequestLogTest : public ::testing::Test {
 protected:
  RequestLogTest()
      : files_(MakePosixFileSystem()),
        path_(JoinPath(directory_.path(), "requests")) {
    options_.path = path_;
    options_.sample = 1;
  }

  void Open() {
    log_ = std::make_unique<RequestLog>(options_, files_.get(), &clock_,
                                        &metrics_);
    ASSERT_THAT(log_->Start(), IsOk());
  }
  static std::unique_ptr<v1::LoggedCall> CallOf(const std::string& user) {
    auto call = std::make_unique<v1::LoggedCall>();
    call->mutable_recommend()->set_user_id(user);
    return call;
  }
  // What was written, once the log is stopped.
  std::vector<v1::LoggedCall> Written() {
    log_->Stop();
    const auto text = ReadWholeFile(*files_, path_, 1 << 20);
    EXPECT_TRUE(text.ok()) << text.status();
    std::vector<v1::LoggedCall> calls;
    for (const absl::string_view line :
         absl::StrSplit(text.value_or(""), '\n', absl::SkipEmpty())) {
      EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(
                      std::string(line), &calls.emplace_back())
                      .ok())
          << line;
    }
    return calls;
  }
  double Count(const std::string& result) const {
    return ReadMetric(metrics_, "neumf_request_log_calls_total",
                      {{"result", result}});
  }
  int CountSampled(int num_calls) {
    int num_sampled = 0;
    for (int i = 0; i < num_calls; ++i) num_sampled += log_->Samples() ? 1 : 0;
    return num_sampled;
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_;
  const std::string path_;
  FakeClock clock_;
  ServerMetrics metrics_;
  RequestLog::Options options_;
  std::unique_ptr<RequestLog> log_;
};

TEST_F(RequestLogTest, WithoutAPathThereIsNone) {
  options_.path = "";
  Open();
  EXPECT_FALSE(log_->Samples());
}

TEST_F(RequestLogTest, TakesTheShareThatIsAskedFor) {
  constexpr int kCalls = 100'000;
  Open();
  EXPECT_EQ(CountSampled(kCalls), kCalls);
  options_.sample = 0;
  Open();
  EXPECT_EQ(CountSampled(kCalls), 0);
  options_.sample = 0.01;
  Open();
  EXPECT_NEAR(CountSampled(kCalls), 1000, 100);
}

TEST_F(RequestLogTest, ACallerWithAPeriodIsNoLessSampled) {
  constexpr int kPeriod = 100;
  constexpr int kCalls = 100'000;
  options_.sample = 0.01;
  Open();
  std::vector<int> num_sampled(kPeriod);
  for (int i = 0; i < kCalls; ++i) {
    num_sampled[i % kPeriod] += log_->Samples() ? 1 : 0;
  }
  for (const int count : num_sampled) {
    EXPECT_GT(count, 0);
    EXPECT_LT(count, 50);
  }
}

TEST_F(RequestLogTest, WritesIdsOfUsersWhenAskedTo) {
  options_.plain_users = true;
  Open();
  log_->Add(CallOf("user \"7\"\n"));
  const auto calls = Written();
  ASSERT_EQ(calls.size(), 1);
  EXPECT_EQ(calls[0].recommend().user_id(), "user \"7\"\n");
  EXPECT_FALSE(calls[0].users_hashed());
  EXPECT_EQ(Count("written"), 1);
}

TEST_F(RequestLogTest, OtherwiseHashesAllOfThem) {
  options_.salt_file = JoinPath(directory_.path(), "salt");
  ASSERT_THAT(WriteFileAtomically(*files_, options_.salt_file,
                                  absl::StrCat(kSalt, "\n")),
              IsOk());
  Open();
  auto batch = std::make_unique<v1::LoggedCall>();
  for (const char* user : {"one", "two"}) {
    batch->mutable_batch_recommend()->add_requests()->set_user_id(user);
  }
  log_->Add(CallOf("one"));
  log_->Add(std::move(batch));
  const auto calls = Written();
  ASSERT_EQ(calls.size(), 2);
  const Pseudonyms pseudonyms(kSalt);
  EXPECT_TRUE(calls[0].users_hashed());
  EXPECT_EQ(calls[0].recommend().user_id(), pseudonyms.Of("one"));
  const auto& requests = calls[1].batch_recommend().requests();
  EXPECT_EQ(requests[0].user_id(), pseudonyms.Of("one"));
  EXPECT_EQ(requests[1].user_id(), pseudonyms.Of("two"));
}

TEST_F(RequestLogTest, WithoutASaltNobodyCanTellWhoTheyAre) {
  Open();
  log_->Add(CallOf("one"));
  log_->Add(CallOf("one"));
  const auto calls = Written();
  ASSERT_EQ(calls.size(), 2);
  EXPECT_EQ(calls[0].recommend().user_id(), calls[1].recommend().user_id());
  EXPECT_NE(calls[0].recommend().user_id(), Pseudonyms("").Of("one"));
}

TEST_F(RequestLogTest, ASaltThatIsShortOrMissingDoesNotStart) {
  options_.salt_file = JoinPath(directory_.path(), "salt");
  RequestLog log(options_, files_.get(), &clock_, &metrics_);
  EXPECT_TRUE(absl::IsNotFound(log.Start()));
  ASSERT_THAT(WriteFileAtomically(*files_, options_.salt_file, "short"),
              IsOk());
  EXPECT_TRUE(absl::IsInvalidArgument(log.Start()));
}

TEST_F(RequestLogTest, WhatDoesNotFitIntoTheQueueIsDropped) {
  Open();
  auto huge = CallOf("one");
  huge->mutable_recommend()->set_model(
      std::string(RequestLog::kMaxQueuedBytes, 'x'));
  log_->Add(std::move(huge));
  EXPECT_EQ(Count("dropped"), 1);
  log_->Add(CallOf("one"));
  EXPECT_EQ(Written().size(), 1);
}

TEST_F(RequestLogTest, WhatComesAfterTheEndIsDropped) {
  Open();
  log_->Add(CallOf("one"));
  log_->Stop();
  log_->Add(CallOf("two"));
  EXPECT_EQ(Count("dropped"), 1);
  EXPECT_EQ(Written().size(), 1);
}

TEST_F(RequestLogTest, ACallThatIsNoJsonCostsItsLineAndNothingElse) {
  testing::internal::CaptureStderr();
  Open();
  auto endless = CallOf("one");
  endless->mutable_timeout()->set_seconds(
      google::protobuf::util::TimeUtil::kDurationMaxSeconds + 1);
  log_->Add(std::move(endless));
  log_->Add(CallOf("two"));
  EXPECT_EQ(Written().size(), 1);
  EXPECT_EQ(Count("failed"), 1);
  EXPECT_EQ(Count("written"), 1);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("event=request_log_failed reason=\"a call cannot be"));
}

TEST_F(RequestLogTest, AFullDiskIsCountedAndLoggedOnce) {
  options_.path = "/dev/full";
  testing::internal::CaptureStderr();
  Open();
  for (int i = 0; i < 10; ++i) log_->Add(CallOf("one"));
  log_->Stop();
  const std::string events = testing::internal::GetCapturedStderr();
  EXPECT_EQ(Count("failed"), 10);
  EXPECT_THAT(events, HasSubstr("event=request_log_failed reason=\"/dev/full"));
  EXPECT_THAT(events, HasSubstr("left_out=0\n"));
  EXPECT_THAT(events, Not(HasSubstr("left_out=1")));
}

}  // namespace
}  // namespace neumf
