#include "server/grpc_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/support/error_details.h"
#include "server/errors.h"

namespace neumf {
namespace {

using testing::Optional;

TEST(GrpcStatusTest, EveryCodeKeepsItsNumberAndMessage) {
  for (int code = 1; code <= 16; ++code) {
    const grpc::Status status =
        ToGrpcStatus(absl::Status(static_cast<absl::StatusCode>(code), "why"));
    EXPECT_EQ(status.error_code(), code);
    EXPECT_EQ(status.error_message(), "why");
  }
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
}

TEST(GrpcStatusTest, DetailsTravelAlong) {
  const grpc::Status status =
      ToGrpcStatus(InvalidRequest({{"k", "must be small"}}));
  google::rpc::Status details;
  ASSERT_TRUE(grpc::ExtractErrorDetails(status, &details).ok());
  google::rpc::BadRequest bad_request;
  ASSERT_EQ(details.details_size(), 2);  // and ErrorInfo
  ASSERT_TRUE(details.details(0).UnpackTo(&bad_request));
  EXPECT_EQ(bad_request.field_violations(0).field(), "k");
}

TEST(GrpcStatusTest, PushbackIsTheRetryDelayInWholeMilliseconds) {
  EXPECT_THAT(
      RetryPushback(Unavailable("DRAINING", "", absl::Microseconds(50'900))),
      Optional(std::string("50")));
  EXPECT_EQ(RetryPushback(absl::UnavailableError("no details")), std::nullopt);
  EXPECT_EQ(RetryPushback(UnknownUser()), std::nullopt);
}

}  // namespace
}  // namespace neumf
