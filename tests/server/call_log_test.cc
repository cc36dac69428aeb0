#include "server/call_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/fake_clock.h"

namespace neumf {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class CallLogTest : public ::testing::Test {
 protected:
  // The lines about a call that ends now.
  std::string LinesOf(absl::StatusCode code, absl::Duration duration,
                      RpcMethod method = RpcMethod::kRecommend) {
    testing::internal::CaptureStderr();
    log_.Ended({method, code, duration, caller_, context_});
    return testing::internal::GetCapturedStderr();
  }
  std::string Failure(absl::StatusCode code) {
    return LinesOf(code, absl::Milliseconds(2));
  }

  FakeClock clock_;
  CallLog log_{absl::Seconds(1), &clock_};
  std::string caller_ = "shop";
  const grpc::CallbackServerContext context_;
};

TEST_F(CallLogTest, ACallThatTheServerFailedHasALine) {
  EXPECT_THAT(Failure(absl::StatusCode::kUnavailable),
              HasSubstr(" event=call_failed method=Recommend code=UNAVAILABLE "
                        "seconds=0.002 caller=shop left_out=0\n"));
  EXPECT_THAT(Failure(absl::StatusCode::kInternal), HasSubstr("code=INTERNAL"));
}

TEST_F(CallLogTest, WhatCallersBringAboutHasNone) {
  for (const absl::StatusCode code :
       {absl::StatusCode::kOk, absl::StatusCode::kCancelled,
        absl::StatusCode::kInvalidArgument, absl::StatusCode::kNotFound,
        absl::StatusCode::kResourceExhausted,
        absl::StatusCode::kUnauthenticated}) {
    EXPECT_EQ(Failure(code), "") << code;
  }
}

TEST_F(CallLogTest, ASlowCallHasALineWhateverItsMethod) {
  EXPECT_EQ(LinesOf(absl::StatusCode::kOk, absl::Milliseconds(999)), "");
  EXPECT_THAT(LinesOf(absl::StatusCode::kNotFound, absl::Seconds(1),
                      RpcMethod::kBatchRecommend),
              HasSubstr("event=call_slow method=BatchRecommend code=NOT_FOUND "
                        "seconds=1 "));
}

TEST_F(CallLogTest, AStreamThatLastsIsNotSlow) {
  for (const RpcMethod method :
       {RpcMethod::kHealthWatch, RpcMethod::kReflection,
        RpcMethod::kReflectionAlpha}) {
    EXPECT_EQ(LinesOf(absl::StatusCode::kUnavailable, absl::Hours(1), method),
              "");
  }
}

TEST_F(CallLogTest, WithoutALimitNoCallIsSlow) {
  CallLog log(absl::ZeroDuration(), &clock_);
  testing::internal::CaptureStderr();
  log.Ended({RpcMethod::kRecommend, absl::StatusCode::kOk, absl::Hours(1),
             caller_, context_});
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(CallLogTest, EachKindHasALineInTenSeconds) {
  EXPECT_NE(Failure(absl::StatusCode::kUnavailable), "");
  EXPECT_NE(Failure(absl::StatusCode::kDeadlineExceeded), "");
  EXPECT_NE(LinesOf(absl::StatusCode::kOk, absl::Seconds(2)), "");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Failure(absl::StatusCode::kUnavailable), "");
  }
  clock_.Advance(absl::Seconds(10));
  EXPECT_THAT(Failure(absl::StatusCode::kUnavailable),
              HasSubstr("left_out=3\n"));
  EXPECT_THAT(Failure(absl::StatusCode::kDeadlineExceeded),
              HasSubstr("left_out=0\n"));
}

TEST_F(CallLogTest, ACallerWithoutANameIsNotNamed) {
  caller_ = "";
  EXPECT_THAT(Failure(absl::StatusCode::kUnavailable),
              Not(HasSubstr("caller")));
}

}  // namespace
}  // namespace neumf
