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

#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/credentials.h"
#include "server/unary_call.h"
#include "tests/server/metric_reader.h"
#include "tests/server/running_server.h"
#include "tests/server/test_snapshot.h"
#include "tests/support/eventually.h"

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
    EXPECT_TRUE(Eventually([&] {
      return ReadMetric(server_.server().counters(),
                        "grpc_server_handled_total",
                        {{"grpc_service", "neumf.v1.RecommendationService"},
                         {"grpc_method", "Recommend"},
                         {"grpc_type", "unary"},
                         {"grpc_code", code}}) >= calls;
    }));
  }

  RunningServer server_;
  std::shared_ptr<FakeScorer> scorer_;
  v1::RecommendRequest request_;
};

TEST_F(InterruptedCallsTest, ADeadlineEndsACallThatIsBeingScored) {
  StartAndHold();
  server_.WaitForConnection();
  std::thread caller([&] {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(2));
    EXPECT_EQ(Call(&context).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  });
  scorer_->WaitUntilHeld();
  caller.join();
  WaitUntilHandled("DeadlineExceeded", 1);
}

TEST_F(InterruptedCallsTest, ACallWithoutADeadlineHasOneAllTheSame) {
  server_.options.limits.default_deadline = absl::Milliseconds(500);
  StartAndHold();
  server_.WaitForConnection();
  grpc::ClientContext context;
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
  EXPECT_TRUE(server_.Drain());
}

// Of a batch without anything to score the requests alone would fail, once they
// are looked at: where it is refused, nobody has looked.
TEST_F(InterruptedCallsTest, ABatchThatFindsNoRoomIsRefusedBeforeItIsParsed) {
  server_.options.batcher.load.max_queue_users = 1;
  StartAndHold();
  const auto call_with = [&](const v1::BatchRecommendRequest& batch) {
    v1::BatchRecommendResponse response;
    return server_.recommendations()->BatchRecommend(PatientContext().get(),
                                                     batch, &response);
  };
  v1::BatchRecommendRequest full;
  for (size_t i = 0; i < LoadControl::kManyQueueFactor; ++i) {
    *full.add_requests() = request_;
  }
  v1::BatchRecommendRequest nameless;
  nameless.add_requests();

  std::thread held([&] { EXPECT_TRUE(Call(PatientContext().get()).ok()); });
  scorer_->WaitUntilHeld();
  std::thread waiting([&] { EXPECT_TRUE(call_with(full).ok()); });
  EXPECT_TRUE(Eventually([&] {
    return ReadMetric(server_.server().counters(), "neumf_queue_users", {}) ==
           LoadControl::kManyQueueFactor;
  }));
  const grpc::Status status = call_with(nameless);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_details(), testing::HasSubstr("QUEUE_FULL"));
  scorer_->Unblock();
  held.join();
  waiting.join();
  EXPECT_TRUE(call_with(nameless).ok());
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
  server_.Drain();
  caller.join();
}

TEST_F(InterruptedCallsTest, TheDrainLetsRunningCallsEnd) {
  StartAndHold();
  std::thread caller([&] { EXPECT_TRUE(Call(PatientContext().get()).ok()); });
  scorer_->WaitUntilHeld();
  std::thread drain([&] { server_.Drain(); });
  // Once the listener is closed, the drain is waiting for the call alone.
  const ListenAddress address = server_.server().grpc_address();
  EXPECT_TRUE(Eventually([&] { return ListenSocket::Open(address).ok(); }));
  scorer_->Unblock();
  caller.join();
  drain.join();
}

// A batch whose answer is larger than what its client ever lets through.
class UnreadAnswerTest : public testing::Test {
 protected:
  UnreadAnswerTest() {
    TinyModelOptions options;
    options.num_items = 1000;
    server_.Publish(MakeTinyModel(options));
    server_.options.keep_versions = 1;
    server_.Start();
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // a window that stays
    stub_ = std::make_unique<grpc::GenericStub>(grpc::CreateCustomChannel(
        server_.server().grpc_address().ToString(),
        grpc::InsecureChannelCredentials(), arguments));
  }
  ~UnreadAnswerTest() override {
    context_->TryCancel();
    call_->Finish(&answer_, &status_, nullptr);
    Next();
  }

  // Returns when the server has answered.
  void Call() {
    v1::BatchRecommendRequest batch;
    for (int i = 0; i < 100; ++i) {
      v1::RecommendRequest* request = batch.add_requests();
      request->set_user_id("u0");
      request->set_k(1000);
    }
    call_ = stub_->PrepareUnaryCall(
        context_.get(), "/neumf.v1.RecommendationService/BatchRecommend",
        SerializeToBuffer(batch), &queue_);
    call_->StartCall();
    call_->ReadInitialMetadata(nullptr);  // and no more
    Next();
  }
  void Next() {
    void* tag = nullptr;
    bool ok = false;
    queue_.Next(&tag, &ok);
  }

  RunningServer server_;
  std::unique_ptr<grpc::GenericStub> stub_;
  grpc::CompletionQueue queue_;
  const std::unique_ptr<grpc::ClientContext> context_ = PatientContext();
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> call_;
  grpc::ByteBuffer answer_;
  grpc::Status status_;
};

TEST_F(UnreadAnswerTest, PinsNoModel) {
  const std::weak_ptr<const Snapshot> model =
      server_.server().snapshots().Get();
  Call();
  server_.Publish(MakeTinyModel({}));
  EXPECT_TRUE(Eventually([&] { return model.expired(); }));
  EXPECT_EQ(ReadMetric(server_.server().counters(), "neumf_inflight_requests"),
            1);
}

}  // namespace
}  // namespace neumf
