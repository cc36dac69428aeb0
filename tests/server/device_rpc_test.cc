// A GPU that is lost while callers ask: what they and health see of it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/server/fake_gpu.h"
#include "tests/server/metric_reader.h"
#include "tests/server/running_server.h"
#include "tests/support/eventually.h"

namespace neumf {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

class DeviceRpcTest : public testing::Test {
 protected:
  void Start(OnDeviceError on_device_error) {
    server_.options.device.device = DeviceFlag::kAuto;
    server_.options.device.on_device_error = on_device_error;
    server_.options.device.gpu = gpu_.functions();
    server_.options.recovery.first_wait = absl::Milliseconds(10);
    server_.options.recovery.max_tries = 1000;
    server_.Publish(MakeTinyModel({}));
    server_.Start();
  }
  grpc::Status Ask(std::string* answer = nullptr) {
    v1::RecommendRequest request;
    request.set_user_id("u0");
    v1::RecommendResponse response;
    const grpc::Status status = server_.recommendations()->Recommend(
        PatientContext().get(), request, &response);
    if (answer != nullptr) *answer = response.SerializeAsString();
    return status;
  }
  bool IsHealthy() {
    HealthCheckResponse response;
    EXPECT_TRUE(
        server_.health()->Check(PatientContext().get(), {}, &response).ok());
    return response.status() == HealthCheckResponse::SERVING;
  }
  // Whether the model that is served is scored there.
  bool ServesOn(const std::string& device) {
    const std::string name = server_.server().snapshots().Get()->scorer->name();
    return name.rfind(device, 0) == 0;
  }

  FakeGpu gpu_;
  RunningServer server_;
};

TEST_F(DeviceRpcTest, HealthTurnsAndReturnsWithTheGpu) {
  Start(OnDeviceError::kRecover);
  std::string before;
  ASSERT_TRUE(Ask(&before).ok());
  EXPECT_TRUE(IsHealthy());
  gpu_.FailResets(1'000'000);
  gpu_.Break();
  EXPECT_EQ(Ask().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_FALSE(IsHealthy());
  EXPECT_EQ(Ask().error_code(), grpc::StatusCode::UNAVAILABLE);
  gpu_.FailResets(0);
  EXPECT_TRUE(Eventually([&] { return IsHealthy(); }));
  std::string after;
  EXPECT_TRUE(Ask(&after).ok());
  EXPECT_EQ(after, before);
  EXPECT_TRUE(ServesOn("cuda"));
  EXPECT_EQ(
      ReadMetric(server_.server().counters(), "neumf_device_errors_total"), 1);
}

TEST_F(DeviceRpcTest, TheCpuGivesTheSameAnswerWhenItTakesOver) {
  Start(OnDeviceError::kCpu);
  std::string before;
  ASSERT_TRUE(Ask(&before).ok());
  gpu_.Break();
  EXPECT_EQ(Ask().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(Eventually([&] { return IsHealthy(); }));
  std::string after;
  EXPECT_TRUE(Ask(&after).ok());
  EXPECT_EQ(after, before);
  EXPECT_TRUE(ServesOn("cpu"));
}

TEST_F(DeviceRpcTest, AServerDrainsWithALostGpu) {
  Start(OnDeviceError::kRecover);
  gpu_.FailResets(1'000'000);
  gpu_.Break();
  EXPECT_FALSE(Ask().ok());
  EXPECT_TRUE(server_.Drain());
}

}  // namespace
}  // namespace neumf
