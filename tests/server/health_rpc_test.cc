// Health, on both listeners.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "tests/server/running_server.h"
#include "tests/server/test_snapshot.h"

namespace neumf {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr char kDataService[] = "neumf.v1.RecommendationService";
constexpr char kAdminService[] = "neumf.v1.ModelService";

HealthCheckRequest For(const std::string& service) {
  HealthCheckRequest request;
  request.set_service(service);
  return request;
}

grpc::Status Check(Health::Stub* stub, const std::string& service,
                   HealthCheckResponse* response) {
  return stub->Check(PatientContext().get(), For(service), response);
}

HealthCheckResponse::ServingStatus StatusOf(Health::Stub* stub,
                                            const std::string& service) {
  HealthCheckResponse response;
  EXPECT_TRUE(Check(stub, service, &response).ok());
  return response.status();
}

// One Watch, read a message at a time.
class Watch {
 public:
  Watch(Health::Stub* stub, const std::string& service)
      : reader_(stub->Watch(context_.get(), For(service))) {}

  // SERVICE_UNKNOWN and UNKNOWN are values too; the end of the stream is -1.
  int Next() {
    HealthCheckResponse response;
    return reader_->Read(&response) ? response.status() : -1;
  }
  void Cancel() { context_->TryCancel(); }
  grpc::Status Finish() { return reader_->Finish(); }
  // After Finish(): when to come back, in milliseconds.
  std::string Pushback() const {
    const auto& trailers = context_->GetServerTrailingMetadata();
    const auto found = trailers.find("grpc-retry-pushback-ms");
    return found == trailers.end()
               ? ""
               : std::string(found->second.data(), found->second.size());
  }

 private:
  const std::unique_ptr<grpc::ClientContext> context_ = PatientContext();
  const std::unique_ptr<grpc::ClientReader<HealthCheckResponse>> reader_;
};

TEST(HealthRpcTest, IsNotServingBeforeThereIsAModel) {
  RunningServer server;
  server.options.wait_for_checkpoint = true;
  server.Start();
  EXPECT_EQ(StatusOf(server.health(), ""), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(StatusOf(server.health(), kDataService),
            HealthCheckResponse::NOT_SERVING);
}

TEST(HealthRpcTest, ServesOnBothListenersWithAModel) {
  RunningServer server;
  server.Publish(MakeTinyModel({}));
  server.Start();
  for (const char* service : {"", kDataService}) {
    EXPECT_EQ(StatusOf(server.health(), service), HealthCheckResponse::SERVING);
  }
  for (const char* service : {"", kAdminService}) {
    EXPECT_EQ(StatusOf(server.admin_health(), service),
              HealthCheckResponse::SERVING);
  }
}

TEST(HealthRpcTest, DoesNotKnowTheServicesOfTheOtherListener) {
  RunningServer server;
  server.Publish(MakeTinyModel({}));
  server.Start();
  HealthCheckResponse response;
  EXPECT_EQ(Check(server.health(), kAdminService, &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Check(server.admin_health(), kDataService, &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST(HealthRpcTest, WatchTellsOfTheFirstModelAndOfTheDrain) {
  RunningServer server;
  server.options.wait_for_checkpoint = true;
  server.Start();
  Watch watch(server.health(), kDataService);
  EXPECT_EQ(watch.Next(), HealthCheckResponse::NOT_SERVING);
  server.Publish(MakeTinyModel({}));
  EXPECT_EQ(watch.Next(), HealthCheckResponse::SERVING);
  EXPECT_TRUE(server.Drain());
  EXPECT_EQ(watch.Next(), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(watch.Next(), -1);
  const grpc::Status end = watch.Finish();
  EXPECT_EQ(end.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(end.error_details(),
              AllOf(HasSubstr("google.rpc.ErrorInfo"), HasSubstr("DRAINING"),
                    HasSubstr("google.rpc.RetryInfo")));
  EXPECT_EQ(watch.Pushback(), "50");
}

// Takes the five seconds after which a silent scorer counts as stuck.
TEST(HealthRpcTest, IsNotServingWhileTheScorerHangs) {
  RunningServer server;
  server.options.wait_for_checkpoint = true;
  server.Start();
  TestSnapshot hanging = MakeTestSnapshot(1);
  const auto scorer = hanging.scorer;
  scorer->Block();
  server.server().snapshots().Swap(std::move(hanging.snapshot));
  std::thread caller([&] {
    v1::RecommendRequest request;
    request.set_user_id("u0");
    v1::RecommendResponse response;
    EXPECT_TRUE(server.recommendations()
                    ->Recommend(PatientContext().get(), request, &response)
                    .ok());
  });
  scorer->WaitUntilHeld();
  Watch watch(server.health(), kDataService);
  EXPECT_EQ(watch.Next(), HealthCheckResponse::SERVING);
  EXPECT_EQ(watch.Next(), HealthCheckResponse::NOT_SERVING);
  scorer->Unblock();
  EXPECT_EQ(watch.Next(), HealthCheckResponse::SERVING);
  caller.join();
}

TEST(HealthRpcTest, WatchOfAnUnknownServiceStaysOpen) {
  RunningServer server;
  server.Publish(MakeTinyModel({}));
  server.Start();
  Watch watch(server.health(), "nobody.knows.This");
  EXPECT_EQ(watch.Next(), HealthCheckResponse::SERVICE_UNKNOWN);
  EXPECT_TRUE(server.Drain());
  EXPECT_EQ(watch.Next(), -1);
}

TEST(HealthRpcTest, AWatchMayBeCancelled) {
  RunningServer server;
  server.Publish(MakeTinyModel({}));
  server.Start();
  Watch watch(server.health(), "");
  EXPECT_EQ(watch.Next(), HealthCheckResponse::SERVING);
  watch.Cancel();
  EXPECT_EQ(watch.Next(), -1);
  EXPECT_EQ(watch.Finish().error_code(), grpc::StatusCode::CANCELLED);
}

}  // namespace
}  // namespace neumf
