// Calls that end otherwise than with their answer: deadlines, cancellations,
// the drain. The scorer is held, so that nothing depends on speed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <thread>

#include "tests/server/running_server.h"
#include "tests/server/test_snapshot.h"

namespace neumf {
namespace {

// A server whose scorer holds every call until the test is over.
class InterruptedCallsTest : public testing::Test {
 protected:
  InterruptedCallsTest() {
    server_.options.wait_for_checkpoint = true;
    server_.options.drain_timeout = absl::Milliseconds(300);
    server_.Start();
    TestSnapshot held = MakeTestSnapshot(1);
    scorer_ = held.scorer;
    scorer_->Block();
    server_.server().snapshots().Swap(std::move(held.snapshot));
    request_.set_user_id("u0");
  }
  ~InterruptedCallsTest() override { scorer_->Unblock(); }

  grpc::Status Call(grpc::ClientContext* context) {
    v1::RecommendResponse response;
    return server_.recommendations()->Recommend(context, request_, &response);
  }

  RunningServer server_;
  std::shared_ptr<FakeScorer> scorer_;
  v1::RecommendRequest request_;
};

TEST_F(InterruptedCallsTest, ADeadlineEndsACallThatIsBeingScored) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::milliseconds(50));
  EXPECT_EQ(Call(&context).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(InterruptedCallsTest, ACancelledCallIsFinishedWhileItIsScored) {
  grpc::ClientContext context;
  std::thread caller([&] {
    EXPECT_EQ(Call(&context).error_code(), grpc::StatusCode::CANCELLED);
  });
  scorer_->WaitUntilHeld();
  context.TryCancel();
  caller.join();
}

TEST_F(InterruptedCallsTest, ACallWhoseClientLeftDoesNotHoldUpTheNext) {
  grpc::ClientContext cancelled;
  std::thread caller([&] { Call(&cancelled); });
  scorer_->WaitUntilHeld();
  cancelled.TryCancel();
  caller.join();
  scorer_->Unblock();
  EXPECT_TRUE(Call(PatientContext().get()).ok());
}

TEST_F(InterruptedCallsTest, TheDrainEndsCallsThatAreStuck) {
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
  EXPECT_LT(server_.Drain(), absl::Seconds(10));
  caller.join();
}

TEST_F(InterruptedCallsTest, TheDrainLetsRunningCallsEnd) {
  server_.Drain();
  SUCCEED();
}

}  // namespace
}  // namespace neumf
