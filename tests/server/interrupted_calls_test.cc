// Calls that end otherwise than with their answer: deadlines, cancellations,
// the drain. The scorer is held, so that nothing depends on speed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/server/metric_reader.h"
#include "tests/server/running_server.h"
#include "tests/server/test_snapshot.h"

namespace neumf {
namespace {

// A server whose scorer holds every call until it is released.
class InterruptedCallsTest : public testing::Test {
 protected:
  InterruptedCallsTest() {
    server_.options.wait_for_checkpoint = true;
    request_.set_user_id("u0");
  }
  ~InterruptedCallsTest() override { scorer_->Unblock(); }

  void StartAndHold(absl::Duration drain_timeout = absl::Seconds(30)) {
    server_.options.drain_timeout = drain_timeout;
    server_.Start();
    TestSnapshot held = MakeTestSnapshot(1);
    scorer_ = held.scorer;
    scorer_->Block();
    server_.server().snapshots().Swap(std::move(held.snapshot));
  }

  grpc::Status Call(grpc::ClientContext* context) {
    v1::RecommendResponse response;
    return server_.recommendations()->Recommend(context, request_, &response);
  }

  // Returns when as many calls have ended with `code`: gRPC counts after the
  // client knows.
  void WaitUntilHandled(const std::string& code, double calls) {
    while (ReadMetric(server_.server().counters(), "grpc_server_handled_total",
                      {{"grpc_service", "neumf.v1.RecommendationService"},
                       {"grpc_method", "Recommend"},
                       {"grpc_type", "unary"},
                       {"grpc_code", code}}) < calls) {
      std::this_thread::yield();
    }
  }

  RunningServer server_;
  std::shared_ptr<FakeScorer> scorer_;
  v1::RecommendRequest request_;
};

TEST_F(InterruptedCallsTest, ADeadlineEndsACallThatIsBeingScored) {
  StartAndHold();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::milliseconds(50));
  EXPECT_EQ(Call(&context).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  WaitUntilHandled("DeadlineExceeded", 1);
}

TEST_F(InterruptedCallsTest, ACancelledCallIsFinishedWhileItIsScored) {
  StartAndHold();
  grpc::ClientContext context;
  std::thread caller([&] {
    EXPECT_EQ(Call(&context).error_code(), grpc::StatusCode::CANCELLED);
  });
  scorer_->WaitUntilHeld();
  context.TryCancel();
  caller.join();
  WaitUntilHandled("Canceled", 1);
}

TEST_F(InterruptedCallsTest, ACallWhoseClientLeftDoesNotHoldUpTheNext) {
  StartAndHold();
  grpc::ClientContext cancelled;
  std::thread caller([&] { Call(&cancelled); });
  scorer_->WaitUntilHeld();
  cancelled.TryCancel();
  caller.join();
  scorer_->Unblock();
  EXPECT_TRUE(Call(PatientContext().get()).ok());
}

TEST_F(InterruptedCallsTest, ClientsThatLeaveAtAnyTimeLeaveNothingBehind) {
  constexpr int kCallers = 4;
  constexpr int kCalls = 200;
  StartAndHold();
  scorer_->Unblock();
  std::vector<std::thread> callers;
  callers.reserve(kCallers);
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([this, caller] {
      for (int i = 0; i < kCalls; ++i) {
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() +
                             std::chrono::microseconds(20 * i + caller));
        Call(&context);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_TRUE(Call(PatientContext().get()).ok());
  EXPECT_LT(server_.Drain(), absl::Seconds(5));
}

TEST_F(InterruptedCallsTest, TheDrainEndsCallsThatAreStuck) {
  StartAndHold(absl::Milliseconds(200));
  const auto idle_channel = server_.NewChannel();
  ASSERT_TRUE(idle_channel->WaitForConnected(std::chrono::system_clock::now() +
                                             std::chrono::seconds(30)));
  std::thread caller([&] {
    EXPECT_EQ(Call(PatientContext().get()).error_code(),
              grpc::StatusCode::UNAVAILABLE);
    // The batcher is still in the scorer, which Drain() has to wait for.
    scorer_->Unblock();
  });
  scorer_->WaitUntilHeld();
  EXPECT_LT(server_.Drain(), absl::Seconds(5));
  caller.join();
}

TEST_F(InterruptedCallsTest, TheDrainLetsRunningCallsEnd) {
  StartAndHold();
  std::thread caller([&] { EXPECT_TRUE(Call(PatientContext().get()).ok()); });
  scorer_->WaitUntilHeld();
  std::thread drain([&] { server_.Drain(); });
  // Once the listener is closed, the drain is waiting for the call alone.
  const ListenAddress address = server_.server().grpc_address();
  while (!ListenSocket::Open(address).ok()) std::this_thread::yield();
  scorer_->Unblock();
  caller.join();
  drain.join();
}

}  // namespace
}  // namespace neumf
