#include "server/errors.h"

#include <string>
#include <vector>

#include "google/rpc/error_details.pb.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::HasSubstr;

std::vector<FieldViolation> Violations(size_t count, size_t description_bytes) {
  return std::vector<FieldViolation>(count,
                                     {"requests[999].exclude_item_ids[9999]",
                                      std::string(description_bytes, 'x')});
}

TEST(ErrorsTest, InvalidRequestNamesEachField) {
  const absl::Status status =
      InvalidRequest({{"user_id", "is empty"}, {"k", "is negative"}});
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                               HasSubstr("user_id: is empty")));
  const google::rpc::Status rpc = ToRpcStatus(status);
  ASSERT_EQ(rpc.details_size(), 2);
  google::rpc::BadRequest details;
  ASSERT_TRUE(rpc.details(0).UnpackTo(&details));
  ASSERT_EQ(details.field_violations_size(), 2);
  EXPECT_EQ(details.field_violations(1).field(), "k");
  EXPECT_EQ(details.field_violations(1).description(), "is negative");
}

TEST(ErrorsTest, EveryErrorHasAReasonForPrograms) {
  const google::rpc::Status rpc =
      ToRpcStatus(absl::DeadlineExceededError("too late"));
  ASSERT_EQ(rpc.details_size(), 1);
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(rpc.details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "DEADLINE_EXCEEDED");
  EXPECT_EQ(info.domain(), "neumf");
}

TEST(ErrorsTest, DetailsStaySmallHoweverMuchIsWrong) {
  const google::rpc::Status rpc =
      ToRpcStatus(InvalidRequest(Violations(1000, 1000)));
  google::rpc::BadRequest details;
  ASSERT_TRUE(rpc.details(0).UnpackTo(&details));
  EXPECT_EQ(details.field_violations_size(), kMaxFieldViolations);
  EXPECT_LT(details.ByteSizeLong(), 4096);
}

TEST(ErrorsTest, UnavailableSaysWhyAndWhenToComeBack) {
  const absl::Status status =
      Unavailable("QUEUE_FULL", "full", absl::Milliseconds(1250));
  EXPECT_EQ(RetryDelay(status), absl::Milliseconds(1250));
  const google::rpc::Status rpc = ToRpcStatus(status);
  EXPECT_EQ(rpc.code(), 14);
  EXPECT_EQ(rpc.message(), "full");
  ASSERT_EQ(rpc.details_size(), 2);
  EXPECT_EQ(rpc.details(0).type_url(),
            "type.googleapis.com/google.rpc.ErrorInfo");
  EXPECT_EQ(rpc.details(1).type_url(),
            "type.googleapis.com/google.rpc.RetryInfo");
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(rpc.details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "QUEUE_FULL");
  EXPECT_EQ(info.domain(), "neumf");
}

TEST(ErrorsTest, TheSameErrorIsTheSameBytes) {
  const auto bytes = [] {
    return ToRpcStatus(Unavailable("DRAINING", "bye", absl::Seconds(1)))
        .SerializeAsString();
  };
  const std::string first = bytes();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(bytes(), first);
}

TEST(ErrorsTest, UnknownUserHasAReasonForPrograms) {
  EXPECT_THAT(UnknownUser(), StatusIs(absl::StatusCode::kNotFound));
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(ToRpcStatus(UnknownUser()).details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "UNKNOWN_USER");
}

TEST(ErrorsTest, ErrorsWithoutRetryInfoHaveNoDelay) {
  EXPECT_EQ(RetryDelay(UnknownUser()), absl::ZeroDuration());
  EXPECT_EQ(RetryDelay(absl::OkStatus()), absl::ZeroDuration());
}

}  // namespace
}  // namespace neumf
