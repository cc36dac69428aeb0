// Recommend and BatchRecommend as a client sees them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/error_details.h"
#include "server/unary_call.h"
#include "tests/server/running_server.h"

namespace neumf {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

constexpr int kNumItems = 33;
constexpr int kSeenPerUser = 3;

// The first detail of type T; its default when there is none.
template <typename T>
T Detail(const google::rpc::Status& status) {
  T detail;
  for (const auto& any : status.details()) {
    if (any.UnpackTo(&detail)) break;
  }
  return detail;
}

template <typename T>
T Detail(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(grpc::ExtractErrorDetails(status, &details).ok());
  EXPECT_EQ(details.code(), status.error_code());
  return Detail<T>(details);
}

class RecommendRpcTest : public testing::Test {
 protected:
  RecommendRpcTest() {
    server_.Publish(model_);
    server_.Start();
    request_.set_user_id("u2");
  }

  // Sends request_.
  v1::RecommendResponse Recommend() {
    v1::RecommendResponse response;
    status_ = server_.recommendations()->Recommend(PatientContext().get(),
                                                   request_, &response);
    EXPECT_TRUE(status_.ok()) << status_.error_message();
    return response;
  }

  grpc::Status RecommendFails() {
    v1::RecommendResponse response;
    context_ = PatientContext();
    return server_.recommendations()->Recommend(context_.get(), request_,
                                                &response);
  }

  grpc::Status RecommendBatch(const v1::BatchRecommendRequest& batch,
                              v1::BatchRecommendResponse* response) {
    return server_.recommendations()->BatchRecommend(PatientContext().get(),
                                                     batch, response);
  }

  // Sends bytes that no client library would make.
  grpc::Status SendBytes(const std::string& method, const std::string& bytes) {
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    grpc::CompletionQueue queue;
    grpc::GenericStub stub(server_.NewChannel());
    const auto context = PatientContext();
    const auto call = stub.PrepareUnaryCall(
        context.get(), absl::StrCat("/neumf.v1.RecommendationService/", method),
        request, &queue);
    grpc::Status status;
    call->StartCall();
    call->Finish(&response, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    return status;
  }

  std::set<std::string> SeenBy(uint32_t user) const {
    std::set<std::string> ids;
    for (const uint32_t row : model_.model.seen.row(user)) {
      ids.emplace(model_.model.item_ids.id(row));
    }
    return ids;
  }

  static std::set<std::string> Ids(const v1::RecommendResponse& response) {
    std::set<std::string> ids;
    for (const auto& item : response.items()) ids.insert(item.item_id());
    return ids;
  }

  const TinyModel model_ = MakeTinyModel({});
  RunningServer server_;
  v1::RecommendRequest request_;
  grpc::Status status_;
  std::unique_ptr<grpc::ClientContext> context_;
};

TEST_F(RecommendRpcTest, AnswersTheDefaultNumberOfItemsBestFirst) {
  const v1::RecommendResponse response = Recommend();
  ASSERT_THAT(response.items(), SizeIs(10));
  for (int i = 1; i < response.items_size(); ++i) {
    EXPECT_GE(response.items(i - 1).score(), response.items(i).score());
  }
  EXPECT_EQ(response.model_version(), "1");
  EXPECT_EQ(response.served_from(), v1::SERVED_FROM_MODEL);
  EXPECT_EQ(response.candidate_count(), kNumItems - kSeenPerUser);
  EXPECT_EQ(response.shortfall_reason(), v1::SHORTFALL_REASON_UNSPECIFIED);
}

TEST_F(RecommendRpcTest, ShortAnswersHoldEveryEligibleItemAndSaySo) {
  request_.set_k(1000);
  const v1::RecommendResponse response = Recommend();
  EXPECT_THAT(Ids(response), SizeIs(kNumItems - kSeenPerUser));
  EXPECT_EQ(response.shortfall_reason(), v1::SHORTFALL_REASON_ELIGIBLE_ITEMS);
}

TEST_F(RecommendRpcTest, SeenPolicyDecidesAboutSeenItems) {
  request_.set_k(1000);
  const std::set<std::string> seen = SeenBy(2);
  ASSERT_THAT(seen, SizeIs(kSeenPerUser));
  for (const std::string& id : seen) {
    EXPECT_THAT(Ids(Recommend()), Not(Contains(id)));
  }
  request_.set_seen_policy(v1::SEEN_POLICY_KEEP);
  EXPECT_THAT(Ids(Recommend()), SizeIs(kNumItems));
  request_.set_seen_policy(v1::SEEN_POLICY_ONLY);
  EXPECT_EQ(Ids(Recommend()), seen);
}

TEST_F(RecommendRpcTest, LeavesOutExcludedItems) {
  const std::string best = Recommend().items(0).item_id();
  request_.add_exclude_item_ids(best);
  request_.add_exclude_item_ids(best);
  request_.add_exclude_item_ids("nobody knows this item");
  request_.set_k(1000);
  const v1::RecommendResponse response = Recommend();
  EXPECT_THAT(Ids(response), Not(Contains(best)));
  EXPECT_EQ(response.candidate_count(), kNumItems - kSeenPerUser - 1);
}

TEST_F(RecommendRpcTest, UnknownUsersAreNotFound) {
  request_.set_user_id("stranger");
  const grpc::Status status = RecommendFails();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  const auto info = Detail<google::rpc::ErrorInfo>(status);
  EXPECT_EQ(info.reason(), "UNKNOWN_USER");
  EXPECT_EQ(info.domain(), "neumf");
}

TEST_F(RecommendRpcTest, UnknownUsersGetPopularItemsOnRequest) {
  request_.set_user_id("stranger");
  request_.set_unknown_user_policy(v1::UNKNOWN_USER_POLICY_POPULAR);
  const v1::RecommendResponse response = Recommend();
  EXPECT_THAT(response.items(), SizeIs(10));
  EXPECT_EQ(response.served_from(), v1::SERVED_FROM_POPULAR);
  EXPECT_EQ(response.candidate_count(), kNumItems);
}

TEST_F(RecommendRpcTest, NamesEveryFieldThatIsWrong) {
  request_.set_user_id("");
  request_.set_k(1001);
  const grpc::Status status = RecommendFails();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const auto details = Detail<google::rpc::BadRequest>(status);
  ASSERT_THAT(details.field_violations(), SizeIs(2));
  EXPECT_EQ(details.field_violations(0).field(), "user_id");
  EXPECT_EQ(details.field_violations(1).field(), "k");
}

TEST_F(RecommendRpcTest, RefusesNegativeK) {
  request_.set_k(-1);
  EXPECT_EQ(RecommendFails().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(RecommendRpcTest, NamesTheFieldThatIsNotUtf8) {
  const grpc::Status status =
      SendBytes("Recommend", std::string("\x0a\x02\xff\xfe", 4));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const auto details = Detail<google::rpc::BadRequest>(status);
  ASSERT_THAT(details.field_violations(), SizeIs(1));
  EXPECT_EQ(details.field_violations(0).field(), "user_id");
}

TEST_F(RecommendRpcTest, RefusesBytesThatAreNoMessage) {
  for (const char* method : {"Recommend", "BatchRecommend"}) {
    EXPECT_EQ(SendBytes(method, "\x0a\x7fjunk").error_code(),
              grpc::StatusCode::INVALID_ARGUMENT)
        << method;
  }
}

TEST_F(RecommendRpcTest, RefusesTheEmptyMessage) {
  for (const char* method : {"Recommend", "BatchRecommend"}) {
    EXPECT_EQ(SendBytes(method, "").error_code(),
              grpc::StatusCode::INVALID_ARGUMENT)
        << method;
  }
}

TEST_F(RecommendRpcTest, RequestsOfABatchSucceedAndFailOnTheirOwn) {
  v1::BatchRecommendRequest batch;
  batch.add_requests()->set_user_id("u0");
  batch.add_requests()->set_user_id("stranger");
  batch.add_requests()->set_user_id("u1");
  batch.mutable_requests(2)->set_k(-5);
  *batch.add_requests() = request_;
  *batch.add_requests() = batch.requests(1);
  batch.mutable_requests(4)->set_unknown_user_policy(
      v1::UNKNOWN_USER_POLICY_POPULAR);

  v1::BatchRecommendResponse response;
  ASSERT_TRUE(RecommendBatch(batch, &response).ok());
  ASSERT_THAT(response.results(), SizeIs(5));
  EXPECT_THAT(response.results(0).response().items(), SizeIs(10));
  EXPECT_EQ(response.results(1).error().code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(response.results(2).error().code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Detail<google::rpc::BadRequest>(response.results(2).error())
                .field_violations(0)
                .field(),
            "requests[2].k");
  EXPECT_EQ(response.results(3).response().SerializeAsString(),
            Recommend().SerializeAsString());
  EXPECT_EQ(response.results(4).response().served_from(),
            v1::SERVED_FROM_POPULAR);
}

TEST_F(RecommendRpcTest, ABatchWithNothingToScoreIsAnswered) {
  v1::BatchRecommendRequest batch;
  batch.add_requests()->set_user_id("stranger");
  v1::BatchRecommendResponse response;
  ASSERT_TRUE(RecommendBatch(batch, &response).ok());
  EXPECT_EQ(response.results(0).error().code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(RecommendRpcTest, RefusesBatchesOfNoneAndOfTooMany) {
  v1::BatchRecommendRequest batch;
  v1::BatchRecommendResponse response;
  EXPECT_EQ(RecommendBatch(batch, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  for (int i = 0; i < 1001; ++i) batch.add_requests()->set_user_id("u0");
  EXPECT_EQ(RecommendBatch(batch, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(RecommendRpcTest, TheLargestBatchOfTheDefaultKIsAnswered) {
  v1::BatchRecommendRequest batch;
  for (int i = 0; i < 1000; ++i) {
    batch.add_requests()->set_user_id(absl::StrCat("u", i % 7));
  }
  v1::BatchRecommendResponse response;
  ASSERT_TRUE(RecommendBatch(batch, &response).ok());
  ASSERT_THAT(response.results(), SizeIs(1000));
  for (const auto& result : response.results()) {
    EXPECT_EQ(result.response().items_size(), 10);
  }
}

TEST(RecommendRpcLargeAnswerTest, RefusesBatchesWhoseAnswerCouldBeTooLarge) {
  RunningServer server;
  TinyModelOptions large;
  large.num_items = 1000;
  server.Publish(MakeTinyModel(large));
  server.Start();
  v1::BatchRecommendRequest batch;
  for (int i = 0; i < 1000; ++i) {
    batch.add_requests()->set_user_id("u0");
    batch.mutable_requests(i)->set_k(1000);
  }
  v1::BatchRecommendResponse response;
  const grpc::Status status = server.recommendations()->BatchRecommend(
      PatientContext().get(), batch, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("4 MiB"));
}

TEST_F(RecommendRpcTest, ListsVersionsOnTheAdminListenerOnly) {
  v1::ListModelVersionsResponse response;
  ASSERT_TRUE(server_.models()
                  ->ListModelVersions(PatientContext().get(), {}, &response)
                  .ok());
  ASSERT_THAT(response.versions(), SizeIs(1));
  EXPECT_EQ(response.versions(0).version(), "1");
  EXPECT_EQ(response.versions(0).state(), v1::MODEL_STATE_SERVING);
  EXPECT_EQ(response.versions(0).item_count(), kNumItems);

  const auto stub = v1::ModelService::NewStub(server_.NewChannel());
  EXPECT_EQ(stub->ListModelVersions(PatientContext().get(), {}, &response)
                .error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

TEST(RecommendRpcWithoutModelTest, SaysWhenToComeBack) {
  RunningServer server;
  server.options.wait_for_checkpoint = true;
  server.Start();
  v1::RecommendRequest request;
  request.set_user_id("u0");
  v1::RecommendResponse response;
  const auto context = PatientContext();
  const grpc::Status status =
      server.recommendations()->Recommend(context.get(), request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Detail<google::rpc::ErrorInfo>(status).reason(), "NO_MODEL");
  EXPECT_EQ(Detail<google::rpc::RetryInfo>(status).retry_delay().seconds(), 1);
  const auto& trailers = context->GetServerTrailingMetadata();
  const auto pushback = trailers.find("grpc-retry-pushback-ms");
  ASSERT_NE(pushback, trailers.end());
  EXPECT_EQ(pushback->second, "1000");
}

}  // namespace
}  // namespace neumf
