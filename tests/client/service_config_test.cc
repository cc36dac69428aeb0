// deploy/service_config.json: the policy for clients that are not ours.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file_system.h"
#include "client/rpc.h"
#include "google/protobuf/descriptor.h"
#include "grpcpp/support/validate_service_config.h"
#include "tests/client/fake_server.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string ServiceConfig() {
  const char* const source = std::getenv("NEUMF_SOURCE_DIR");
  EXPECT_NE(source, nullptr);
  const auto text = ReadWholeFile(
      *MakePosixFileSystem(),
      absl::StrCat(source, "/deploy/service_config.json"), 1 << 20);
  EXPECT_THAT(text, IsOk());
  return *text;
}

TEST(ServiceConfigTest, IsOneThatGrpcTakes) {
  EXPECT_THAT(grpc::experimental::ValidateServiceConfigJSON(ServiceConfig()),
              IsEmpty());
}

TEST(ServiceConfigTest, NamesTheServiceAndEachOfItsMethods) {
  const std::string config = ServiceConfig();
  const char* const name = v1::RecommendationService::service_full_name();
  const google::protobuf::ServiceDescriptor* const service =
      google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
          name);
  ASSERT_NE(service, nullptr);

  for (int i = 0; i < service->method_count(); ++i) {
    EXPECT_THAT(config, HasSubstr(absl::StrCat(
                            "{\"service\": \"", name, "\", \"method\": \"",
                            service->method(i)->name(), "\"}")));
  }
}

class ServiceConfigCallTest : public testing::Test {
 protected:
  grpc::Status Recommend(const std::string& target) {
    grpc::ChannelArguments arguments;
    arguments.SetServiceConfigJSON(ServiceConfig());
    const auto stub = v1::RecommendationService::NewStub(
        MakeChannel(target, std::move(arguments)));
    grpc::ClientContext context;
    v1::RecommendRequest request;
    request.set_user_id("42");
    v1::RecommendResponse response;
    return stub->Recommend(&context, request, &response);
  }

  FakeServer server_;
};

TEST_F(ServiceConfigCallTest, RetriesWhatIsUnavailableTwice) {
  FakeServer::Reply refusal;
  refusal.status = grpc::Status(grpc::StatusCode::UNAVAILABLE, "full");
  refusal.pushback = "1";
  server_.ReplyWith({refusal, refusal, FakeServer::Reply()});

  EXPECT_TRUE(Recommend(server_.address()).ok());
  EXPECT_THAT(server_.calls(), SizeIs(3));
}

// gRPC keeps this deadline to itself: the server is told only of those that the
// caller sets.
TEST_F(ServiceConfigCallTest, GivesCallsADeadline) {
  FakeServer::Reply hanging;
  hanging.hang = true;
  server_.ReplyWith({hanging});

  EXPECT_EQ(Recommend(server_.address()).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(ServiceConfigCallTest, PassesByAServerThatDoesNotServe) {
  FakeServer sick;
  sick.SetHealth(grpc::health::v1::HealthCheckResponse::NOT_SERVING);

  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(
        Recommend(absl::StrCat("ipv4:", sick.address(), ",", server_.address()))
            .ok());
  }
  EXPECT_THAT(sick.calls(), IsEmpty());
}

}  // namespace
}  // namespace neumf
