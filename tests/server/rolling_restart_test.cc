// One of two servers goes away under load, and no call fails: not those that
// run, not those that come while it drains.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "tests/server/running_server.h"
#include "tests/support/eventually.h"

namespace neumf {
namespace {

constexpr int kNumCallers = 4;
constexpr int kCallsBefore = 200;
constexpr int kCallsAfter = 200;

// What docs and deploy files recommend: spread over all servers, and try
// UNAVAILABLE again.
constexpr char kServiceConfig[] = R"({
  "loadBalancingConfig": [{"round_robin": {}}],
  "methodConfig": [{
    "name": [{"service": "neumf.v1.RecommendationService"}],
    "retryPolicy": {
      "maxAttempts": 3, "initialBackoff": "0.02s", "maxBackoff": "0.2s",
      "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }]
})";

class RollingRestartTest : public testing::Test {
 protected:
  RollingRestartTest() {
    for (RunningServer* server : {&leaving_, &staying_}) {
      server->Publish(MakeTinyModel({}));
      server->Start();
    }
    grpc::ChannelArguments arguments;
    arguments.SetServiceConfigJSON(kServiceConfig);
    stub_ = v1::RecommendationService::NewStub(grpc::CreateCustomChannel(
        absl::StrCat("ipv4:", leaving_.server().grpc_address().ToString(), ",",
                     staying_.server().grpc_address().ToString()),
        grpc::InsecureChannelCredentials(), arguments));
  }

  void CallUntilStopped() {
    v1::RecommendRequest request;
    request.set_user_id("u0");
    v1::RecommendResponse response;
    while (!stopped_) {
      const grpc::Status status =
          stub_->Recommend(PatientContext().get(), request, &response);
      EXPECT_TRUE(status.ok()) << status.error_message();
      ++num_calls_;
    }
  }

  void WaitForCalls(int count) {
    const int until = num_calls_ + count;
    EXPECT_TRUE(Eventually([&] { return num_calls_ >= until; }));
  }

  RunningServer leaving_;
  RunningServer staying_;
  std::unique_ptr<v1::RecommendationService::Stub> stub_;
  std::atomic<bool> stopped_{false};
  std::atomic<int> num_calls_{0};
};

TEST_F(RollingRestartTest, NoCallFails) {
  std::vector<std::thread> callers;
  callers.reserve(kNumCallers);
  for (int i = 0; i < kNumCallers; ++i) {
    callers.emplace_back([this] { CallUntilStopped(); });
  }
  WaitForCalls(kCallsBefore);
  EXPECT_TRUE(leaving_.Drain());
  WaitForCalls(kCallsAfter);
  stopped_ = true;
  for (std::thread& caller : callers) caller.join();
}

}  // namespace
}  // namespace neumf
