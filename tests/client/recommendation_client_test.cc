#include "client/recommendation_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/hedged_call.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/support/client_interceptor.h"
#include "tests/client/fake_server.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using ::testing::SizeIs;

FakeServer::Reply Ok() {
  FakeServer::Reply reply;
  reply.response.set_model_version("7");
  return reply;
}

FakeServer::Reply Failing(grpc::StatusCode code) {
  FakeServer::Reply reply;
  reply.status = grpc::Status(code, "not now");
  return reply;
}

FakeServer::Reply Unavailable(const std::string& pushback = "") {
  FakeServer::Reply reply = Failing(grpc::StatusCode::UNAVAILABLE);
  reply.pushback = pushback;
  return reply;
}

FakeServer::Reply Hanging() {
  FakeServer::Reply reply;
  reply.hang = true;
  return reply;
}

class RecommendationClientTest : public testing::Test {
 protected:
  RecommendationClientTest() {
    options_.target = server_.address();
    // Long enough for the slowest machine; tests of time set their own.
    options_.timeout = absl::Seconds(60);
    options_.initial_backoff = absl::Milliseconds(1);
    options_.max_backoff = absl::Milliseconds(2);
  }

  absl::StatusOr<v1::RecommendResponse> Recommend() {
    const auto client = RecommendationClient::Create(options_);
    if (!client.ok()) return client.status();
    v1::RecommendRequest request;
    request.set_user_id("42");
    return (*client)->Recommend(request);
  }

  FakeServer server_;
  RecommendationClient::Options options_;
};

TEST_F(RecommendationClientTest, GivesTheServersAnswer) {
  server_.ReplyWith({Ok()});

  const auto response = Recommend();

  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->model_version(), "7");
  ASSERT_THAT(server_.calls(), SizeIs(1));
  EXPECT_EQ(server_.calls()[0].request.user_id(), "42");
}

TEST_F(RecommendationClientTest, SendsBatches) {
  server_.ReplyWith({Ok()});
  const auto client = RecommendationClient::Create(options_);
  ASSERT_THAT(client, IsOk());
  v1::BatchRecommendRequest request;
  request.add_requests()->set_user_id("42");

  const auto response = (*client)->BatchRecommend(request);

  ASSERT_THAT(response, IsOk());
  ASSERT_EQ(response->results_size(), 1);
  EXPECT_EQ(response->results(0).response().model_version(), "7");
}

TEST_F(RecommendationClientTest, TellsTheServerItsDeadline) {
  options_.timeout = absl::Seconds(30);
  const absl::Time before = absl::Now();

  ASSERT_THAT(Recommend(), IsOk());

  // The wire carries the time that is left, rounded up.
  const absl::Duration given = server_.calls()[0].deadline - before;
  EXPECT_GT(given, absl::Seconds(29));
  EXPECT_LT(given, absl::Seconds(32));
}

TEST_F(RecommendationClientTest, FailsWhenTheDeadlinePasses) {
  options_.timeout = absl::Milliseconds(50);
  server_.ReplyWith({Hanging()});

  EXPECT_THAT(Recommend(), StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(RecommendationClientTest, RetriesUnavailable) {
  server_.ReplyWith({Unavailable(), Unavailable(), Ok()});

  EXPECT_THAT(Recommend(), IsOk());
  EXPECT_THAT(server_.calls(), SizeIs(3));
}

TEST_F(RecommendationClientTest, GivesUpAfterTheLastAttempt) {
  server_.ReplyWith({Unavailable()});

  EXPECT_THAT(Recommend(), StatusIs(absl::StatusCode::kUnavailable, "not now"));
  EXPECT_THAT(server_.calls(), SizeIs(options_.max_attempts));
}

TEST_F(RecommendationClientTest, NeverRetriesWithOneAttempt) {
  options_.max_attempts = 1;
  server_.ReplyWith({Unavailable(), Ok()});

  EXPECT_THAT(Recommend(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(server_.calls(), SizeIs(1));
}

TEST_F(RecommendationClientTest, WaitsAsLongAsTheServerSays) {
  server_.ReplyWith({Unavailable("150"), Ok()});

  ASSERT_THAT(Recommend(), IsOk());

  const auto calls = server_.calls();
  ASSERT_THAT(calls, SizeIs(2));
  // gRPC's timers count whole milliseconds.
  EXPECT_GE(calls[1].arrival - calls[0].arrival, absl::Milliseconds(148));
}

TEST_F(RecommendationClientTest, NegativePushbackForbidsARetry) {
  server_.ReplyWith({Unavailable("-1"), Ok()});

  EXPECT_THAT(Recommend(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(server_.calls(), SizeIs(1));
}

TEST_F(RecommendationClientTest, PushbackThatIsNoNumberForbidsARetry) {
  server_.ReplyWith({Unavailable("soon"), Ok()});

  EXPECT_THAT(Recommend(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(server_.calls(), SizeIs(1));
}

TEST_F(RecommendationClientTest, SaysUnavailableWhenNobodyListens) {
  options_.target = "unix:/nonexistent/socket";

  EXPECT_THAT(Recommend(), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(RecommendationClientTest, KeepsTheDetails) {
  google::rpc::BadRequest bad_request;
  bad_request.add_field_violations()->set_field("k");
  google::rpc::Status details;
  details.add_details()->PackFrom(bad_request);
  FakeServer::Reply reply;
  reply.status = grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "bad k",
                              details.SerializeAsString());
  server_.ReplyWith({reply});

  const absl::Status status = Recommend().status();

  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, "bad k"));
  const auto payload =
      status.GetPayload("type.googleapis.com/google.rpc.BadRequest");
  ASSERT_TRUE(payload.has_value());
  google::rpc::BadRequest received;
  ASSERT_TRUE(received.ParseFromString(std::string(*payload)));
  EXPECT_EQ(received.field_violations(0).field(), "k");
}

TEST_F(RecommendationClientTest, ThreadsShareIt) {
  const auto client = RecommendationClient::Create(options_);
  ASSERT_THAT(client, IsOk());
  constexpr int kNumThreads = 4;
  std::vector<std::thread> threads;
  threads.reserve(kNumThreads);
  for (int t = 0; t < kNumThreads; ++t) {
    threads.emplace_back([&client, t] {
      v1::RecommendRequest request;
      for (int i = 0; i < 50; ++i) {
        request.set_user_id(absl::StrCat(t, "/", i));
        const auto response = (*client)->Recommend(request);
        ASSERT_THAT(response, IsOk());
        EXPECT_EQ(response->items(0).item_id(), request.user_id());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(server_.calls(), SizeIs(200));
}

TEST_F(RecommendationClientTest, RefusesOptionsOutOfRange) {
  const auto refuses = [this](auto change) {
    RecommendationClient::Options options = options_;
    change(options);
    return RecommendationClient::Create(options).status().code() ==
           absl::StatusCode::kInvalidArgument;
  };
  using Options = RecommendationClient::Options;

  EXPECT_TRUE(refuses([](Options& o) { o.target = ""; }));
  EXPECT_TRUE(refuses([](Options& o) { o.timeout = absl::ZeroDuration(); }));
  EXPECT_TRUE(refuses([](Options& o) { o.max_attempts = 0; }));
  EXPECT_TRUE(refuses([](Options& o) { o.max_attempts = 6; }));
  EXPECT_TRUE(
      refuses([](Options& o) { o.initial_backoff = absl::ZeroDuration(); }));
  EXPECT_TRUE(
      refuses([](Options& o) { o.max_backoff = absl::Microseconds(500); }));
}

TEST_F(RecommendationClientTest, SpreadsCallsOverTheServersThatAreHealthy) {
  FakeServer second;
  FakeServer sick;
  sick.SetHealth(grpc::health::v1::HealthCheckResponse::NOT_SERVING);
  options_.target = absl::StrCat("ipv4:", server_.address(), ",",
                                 second.address(), ",", sick.address());
  options_.balance = true;
  const auto client = RecommendationClient::Create(options_);
  ASSERT_THAT(client, IsOk());
  v1::RecommendRequest request;
  request.set_user_id("42");

  // Connections come up one after the other.
  const absl::Time give_up = absl::Now() + absl::Seconds(60);
  while (server_.calls().empty() || second.calls().empty()) {
    ASSERT_THAT((*client)->Recommend(request), IsOk());
    ASSERT_LT(absl::Now(), give_up);
  }
  const size_t before = server_.calls().size() + second.calls().size();
  const size_t first_before = server_.calls().size();
  for (int i = 0; i < 10; ++i) {
    ASSERT_THAT((*client)->Recommend(request), IsOk());
  }

  EXPECT_EQ(server_.calls().size(), first_before + 5);
  EXPECT_EQ(server_.calls().size() + second.calls().size(), before + 10);
  EXPECT_THAT(sick.calls(), SizeIs(0));
}

TEST_F(RecommendationClientTest, LeavesAServerThatSaysItNoLongerServes) {
  FakeServer second;
  options_.target =
      absl::StrCat("ipv4:", server_.address(), ",", second.address());
  options_.balance = true;
  const auto client = RecommendationClient::Create(options_);
  ASSERT_THAT(client, IsOk());
  v1::RecommendRequest request;
  request.set_user_id("42");
  ASSERT_THAT((*client)->Recommend(request), IsOk());

  server_.SetHealth(grpc::health::v1::HealthCheckResponse::NOT_SERVING);

  // The news takes a moment; then ten calls in a row pass it by.
  const absl::Time give_up = absl::Now() + absl::Seconds(60);
  for (int passed_by = 0; passed_by < 10;) {
    const size_t before = server_.calls().size();
    ASSERT_THAT((*client)->Recommend(request), IsOk());
    passed_by = server_.calls().size() == before ? passed_by + 1 : 0;
    ASSERT_LT(absl::Now(), give_up);
  }
  EXPECT_GE(second.calls().size(), 10);
}

// Numbers calls as they start: two at once may arrive in either order.
class AttemptNumbering final
    : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  grpc::experimental::Interceptor* CreateClientInterceptor(
      grpc::experimental::ClientRpcInfo* info) override {
    info->client_context()->AddMetadata(FakeServer::kAttempt,
                                        absl::StrCat(++num_attempts_));
    return nullptr;  // No interceptor is needed.
  }

 private:
  int num_attempts_ = 0;
};

std::shared_ptr<grpc::Channel> MakeNumberingChannel(
    const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  std::vector<
      std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>>
      factories;
  factories.push_back(std::make_unique<AttemptNumbering>());
  return grpc::experimental::CreateCustomChannelWithInterceptors(
      address, grpc::InsecureChannelCredentials(), arguments,
      std::move(factories));
}

class HedgingTest : public RecommendationClientTest {
 protected:
  HedgingTest()
      : stub_(v1::RecommendationService::NewStub(
            MakeNumberingChannel(server_.address()))) {
    // Known: 10 ms, with second calls saved up.
    for (int i = 0; i < 512; ++i) policy_.RecordCall(absl::Milliseconds(10));
  }

  grpc::Status HedgedRecommend(absl::Duration timeout) {
    return neumf::HedgedRecommend(*stub_, {}, timeout, policy_, &response_);
  }

  HedgePolicy policy_;
  const std::unique_ptr<v1::RecommendationService::Stub> stub_;
  v1::RecommendResponse response_;
};

TEST_F(HedgingTest, SendsASlowCallAgainAndCancelsTheLoser) {
  // A call that has not come cannot be seen to leave.
  FakeServer::Reply answer = Ok();
  answer.after_calls = 2;
  server_.ReplyWith({Hanging(), answer});

  ASSERT_TRUE(HedgedRecommend(absl::Seconds(60)).ok());

  EXPECT_EQ(response_.model_version(), "7");
  EXPECT_THAT(server_.calls(), SizeIs(2));
  const absl::Time give_up = absl::Now() + absl::Seconds(60);
  while (server_.num_abandoned() == 0) ASSERT_LT(absl::Now(), give_up);
}

TEST_F(HedgingTest, WaitsForTheOtherCallWhenOneIsRefused) {
  server_.ReplyWith({Hanging(), Unavailable()});

  EXPECT_EQ(HedgedRecommend(absl::Seconds(1)).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(server_.calls(), SizeIs(2));
}

// One that waits for the second call, whose answer comes first.
FakeServer::Reply AfterTheSecond(FakeServer::Reply reply) {
  reply.after_calls = 2;
  reply.after_answers = 1;
  return reply;
}

// The order the other way round.
std::vector<FakeServer::Reply> InOrder(FakeServer::Reply first,
                                       FakeServer::Reply second) {
  first.after_calls = 2;
  second.after_answers = 1;
  return {first, second};
}

constexpr grpc::StatusCode kErrorsOfOneServer[] = {
    grpc::StatusCode::UNAVAILABLE, grpc::StatusCode::RESOURCE_EXHAUSTED,
    grpc::StatusCode::NOT_FOUND, grpc::StatusCode::INTERNAL};

class HedgeErrorTest : public HedgingTest,
                       public testing::WithParamInterface<grpc::StatusCode> {};

TEST_P(HedgeErrorTest, OfTheSecondCallWaitsForTheFirst) {
  server_.ReplyWith({AfterTheSecond(Ok()), Failing(GetParam())});

  EXPECT_TRUE(HedgedRecommend(absl::Seconds(60)).ok());
  EXPECT_EQ(response_.model_version(), "7");
  EXPECT_THAT(server_.calls(), SizeIs(2));
}

TEST_P(HedgeErrorTest, OfTheFirstCallWaitsForTheSecond) {
  server_.ReplyWith(InOrder(Failing(GetParam()), Ok()));

  EXPECT_TRUE(HedgedRecommend(absl::Seconds(60)).ok());
  EXPECT_EQ(response_.model_version(), "7");
}

TEST_P(HedgeErrorTest, OfTheFirstCallIsToldWhenBothFail) {
  const auto second = Failing(grpc::StatusCode::PERMISSION_DENIED);
  server_.ReplyWith({AfterTheSecond(Failing(GetParam())), second});

  EXPECT_EQ(HedgedRecommend(absl::Seconds(60)).error_code(), GetParam());
}

TEST_P(HedgeErrorTest, OfTheFirstCallIsToldWhenItCameFirst) {
  server_.ReplyWith(InOrder(Failing(GetParam()),
                            Failing(grpc::StatusCode::PERMISSION_DENIED)));

  EXPECT_EQ(HedgedRecommend(absl::Seconds(60)).error_code(), GetParam());
}

INSTANTIATE_TEST_SUITE_P(OfOneServer, HedgeErrorTest,
                         testing::ValuesIn(kErrorsOfOneServer));

TEST_F(HedgingTest, EndsAtTheDeadlineWhenBothCallsHang) {
  server_.ReplyWith({Hanging()});

  EXPECT_EQ(HedgedRecommend(absl::Seconds(1)).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(server_.calls(), SizeIs(2));
}

TEST_F(HedgingTest, SendsNoCallAgainWhenThereWereTooMany) {
  while (policy_.TryHedge()) continue;
  server_.ReplyWith({Hanging()});

  EXPECT_EQ(HedgedRecommend(absl::Seconds(1)).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(server_.calls(), SizeIs(1));
}

TEST_F(HedgingTest, SendsNoCallAgainBeforeItKnowsTheServer) {
  options_.hedge = true;
  options_.timeout = absl::Seconds(1);
  server_.ReplyWith({Hanging()});

  EXPECT_THAT(Recommend(), StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(server_.calls(), SizeIs(1));
}

TEST_F(HedgingTest, IsDoneByAClientThatWasAskedTo) {
  options_.hedge = true;
  options_.timeout = absl::Seconds(1);
  const auto client = RecommendationClient::Create(options_);
  ASSERT_THAT(client, IsOk());

  // On a busy machine the slow calls of the first rounds may leave no second
  // call to spend.
  const absl::Time give_up = absl::Now() + absl::Seconds(60);
  bool hedged = false;
  while (!hedged) {
    ASSERT_LT(absl::Now(), give_up);
    for (int i = 0; i < 100; ++i) (void)(*client)->Recommend({});
    std::vector<FakeServer::Reply> replies(server_.calls().size());
    replies.push_back(Hanging());
    replies.push_back(Ok());
    server_.ReplyWith(replies);
    hedged = (*client)->Recommend({}).ok();
  }
}

class ErrorCodeTest : public RecommendationClientTest,
                      public testing::WithParamInterface<grpc::StatusCode> {};

TEST_P(ErrorCodeTest, IsPassedOnWithoutARetry) {
  server_.ReplyWith({Failing(GetParam()), Ok()});

  EXPECT_THAT(Recommend(),
              StatusIs(static_cast<absl::StatusCode>(GetParam()), "not now"));
  EXPECT_THAT(server_.calls(), SizeIs(1));
}

INSTANTIATE_TEST_SUITE_P(AllButUnavailable, ErrorCodeTest,
                         testing::Values(grpc::StatusCode::INVALID_ARGUMENT,
                                         grpc::StatusCode::NOT_FOUND,
                                         grpc::StatusCode::RESOURCE_EXHAUSTED,
                                         grpc::StatusCode::INTERNAL,
                                         grpc::StatusCode::ABORTED));

}  // namespace
}  // namespace neumf
