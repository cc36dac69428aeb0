#include "server/caller_quotas.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "server/errors.h"
#include "tests/server/metric_reader.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using ::testing::_;
using ::testing::HasSubstr;

template <typename Detail>
Detail DetailOf(const absl::Status& status) {
  Detail found;
  const google::rpc::Status rpc_status = ToRpcStatus(status);
  for (const auto& detail : rpc_status.details()) {
    if (detail.UnpackTo(&found)) break;
  }
  return found;
}

class CallerQuotasTest : public ::testing::Test {
 protected:
  CallerQuotasTest()
      : files_(MakePosixFileSystem()),
        path_(JoinPath(directory_.path(), "quotas")) {}

  void Write(absl::string_view text) {
    ASSERT_TRUE(WriteFileAtomically(*files_, path_, text).ok());
  }
  void Open(absl::string_view text) {
    Write(text);
    quotas_ =
        std::make_unique<CallerQuotas>(path_, files_.get(), &clock_, &metrics_);
    ASSERT_THAT(quotas_->Load(), IsOk());
  }
  absl::Status Take(const std::string& caller, size_t num_users) {
    return quotas_->Take({caller, Rights::All()}, num_users);
  }
  void ExpectTaken(const std::string& caller, size_t num_users) {
    EXPECT_THAT(Take(caller, num_users), IsOk());
  }
  void ExpectRefused(const std::string& caller, size_t num_users) {
    EXPECT_THAT(Take(caller, num_users),
                StatusIs(absl::StatusCode::kResourceExhausted, _));
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_;
  const std::string path_;
  FakeClock clock_;
  ServerMetrics metrics_;
  std::unique_ptr<CallerQuotas> quotas_;
};

TEST_F(CallerQuotasTest, WithoutAFileNobodyIsLimited) {
  CallerQuotas none("", files_.get(), &clock_, &metrics_);
  ASSERT_THAT(none.Load(), IsOk());
  none.Poll();
  EXPECT_THAT(none.Take({"shop", Rights::All()}, 1'000'000), IsOk());
}

TEST_F(CallerQuotasTest, ABurstIsTakenAtOnceAndThenTheRateCounts) {
  Open("shop 10 20");
  for (int i = 0; i < 20; ++i) ExpectTaken("shop", 1);
  ExpectRefused("shop", 1);
  clock_.Advance(absl::Milliseconds(500));
  ExpectTaken("shop", 5);
  ExpectRefused("shop", 1);
}

TEST_F(CallerQuotasTest, ACallOfManyUsersCostsSoManyOrNone) {
  Open("shop 10 20");
  ExpectTaken("shop", 15);
  ExpectRefused("shop", 6);
  ExpectTaken("shop", 5);
}

TEST_F(CallerQuotasTest, WhatIsGivenBackCanBeTakenAgain) {
  Open("shop 10 20\nreports unlimited");
  ExpectTaken("shop", 15);
  quotas_->GiveBack("shop", 15);
  ExpectTaken("shop", 20);
  ExpectRefused("shop", 1);
  quotas_->GiveBack("reports", 5);
  ExpectTaken("reports", 1'000);
}

TEST_F(CallerQuotasTest, WhatIsGivenBackFillsNoMoreThanTheBurst) {
  Open("shop 10 20");
  ExpectTaken("shop", 15);
  clock_.Advance(absl::Seconds(10));
  ExpectTaken("shop", 5);
  quotas_->GiveBack("shop", 15);
  ExpectRefused("shop", 21);
  ExpectTaken("shop", 20);
}

TEST_F(CallerQuotasTest, ABucketHoldsNoMoreThanItsBurst) {
  Open("shop 10 20");
  clock_.Advance(absl::Hours(1));
  ExpectTaken("shop", 20);
  ExpectRefused("shop", 1);
}

TEST_F(CallerQuotasTest, ARateBelowOneAddsUp) {
  Open("shop 0.25 1");
  ExpectTaken("shop", 1);
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(absl::Seconds(1));
    ExpectRefused("shop", 1);
  }
  clock_.Advance(absl::Seconds(1));
  ExpectTaken("shop", 1);
}

TEST_F(CallerQuotasTest, OneCallerOverItsQuotaTakesNothingFromOthers) {
  Open("* 1 5");
  ExpectTaken("shop", 5);
  ExpectRefused("shop", 1);
  ExpectTaken("reports", 5);
}

TEST_F(CallerQuotasTest, CallersWithoutANameShareOneQuota) {
  Open("* 1 5");
  ExpectTaken("", 3);
  ExpectTaken("", 2);
  ExpectRefused("", 1);
}

TEST_F(CallerQuotasTest, ARefusalNamesTheQuotaAndDoesNotAskToComeBack) {
  Open("shop 10 20");
  const absl::Status refused = Take("shop", 21);
  EXPECT_THAT(refused,
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("a call of 21 users is larger than the 20")));
  const auto failure = DetailOf<google::rpc::QuotaFailure>(refused);
  ASSERT_EQ(failure.violations_size(), 1);
  EXPECT_EQ(failure.violations(0).subject(), "caller:shop");
  EXPECT_EQ(failure.violations(0).description(), refused.message());
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(refused).reason(),
            "QUOTA_EXCEEDED");
  EXPECT_EQ(RetryDelay(refused), absl::ZeroDuration());
  ExpectTaken("shop", 20);
  EXPECT_THAT(Take("shop", 1),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("quota of 10 users a second, at most 20")));
}

TEST_F(CallerQuotasTest, RefusalsAreCounted) {
  Open("shop 10 20");
  ExpectRefused("shop", 21);
  ExpectRefused("shop", 21);
  EXPECT_EQ(
      ReadMetric(metrics_, "neumf_requests_shed_total", {{"reason", "quota"}}),
      2);
}

TEST_F(CallerQuotasTest, RefusalsAreLoggedOnceAMinute) {
  Open("shop 10 20");
  const auto poll = [&] {
    testing::internal::CaptureStderr();
    quotas_->Poll();
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(poll(), "");
  ExpectRefused("shop", 21);
  ExpectRefused("shop", 21);
  EXPECT_THAT(poll(), HasSubstr("event=quota_exceeded caller=shop calls=2\n"));
  ExpectRefused("shop", 21);
  EXPECT_EQ(poll(), "");
  clock_.Advance(absl::Minutes(1));
  EXPECT_THAT(poll(), HasSubstr("caller=shop calls=1\n"));
}

TEST_F(CallerQuotasTest, ANewFileCountsAtOnceAndForgivesNothing) {
  Open("shop 10 20");
  ExpectTaken("shop", 20);
  Write("shop 1000 40");
  quotas_->Poll();
  ExpectRefused("shop", 1);
  clock_.Advance(absl::Seconds(1));
  ExpectTaken("shop", 40);
  Write("shop unlimited");
  quotas_->Poll();
  ExpectTaken("shop", 1'000'000);
  EXPECT_EQ(
      ReadMetric(metrics_, "neumf_config_reloads_total", {{"file", "quotas"}}),
      2);
}

TEST_F(CallerQuotasTest, AFileThatIsBrokenOrGoneChangesNothing) {
  Open("shop 10 20");
  Write("shop 1000000 bananas");
  quotas_->Poll();
  ASSERT_THAT(files_->Remove(path_), IsOk());
  quotas_->Poll();
  EXPECT_EQ(ReadMetric(metrics_, "neumf_config_reload_failures_total",
                       {{"file", "quotas"}}),
            2);
  ExpectTaken("shop", 20);
  ExpectRefused("shop", 1);
}

TEST_F(CallerQuotasTest, ABrokenFileDoesNotLoad) {
  Write("shop");
  CallerQuotas broken(path_, files_.get(), &clock_, &metrics_);
  EXPECT_THAT(broken.Load(), StatusIs(absl::StatusCode::kInvalidArgument,
                                      HasSubstr("line 1")));
}

TEST_F(CallerQuotasTest, TheOneWhoWasSilentForTheLongestIsForgotten) {
  Open("* 1 5");
  ExpectTaken("first", 5);
  ExpectTaken("second", 5);
  for (size_t i = 2; i < CallerQuotas::kMaxCallers; ++i) {
    ExpectTaken(absl::StrCat("caller-", i), 1);
  }
  ExpectRefused("first", 1);       // and so it is the last to have been heard
  ExpectTaken("one-too-many", 1);  // takes the place of the second
  ExpectTaken("second", 5);
  ExpectRefused("first", 1);
}

}  // namespace
}  // namespace neumf
