// Takedowns and erasures as callers see them, in calls that are under way when
// they come, too. The scorer is held, so that nothing depends on speed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/server/metric_reader.h"
#include "tests/server/running_server.h"
#include "tests/server/test_snapshot.h"
#include "tests/support/eventually.h"

namespace neumf {
namespace {

using testing::Contains;
using testing::Not;

constexpr char kUnknownUsers[] = "neumf_unknown_user_total";

struct Reply {
  grpc::Status status;
  v1::RecommendResponse response;
};

class TakedownsRpcTest : public testing::Test {
 protected:
  TakedownsRpcTest() {
    server_.options.wait_for_checkpoint = true;
    server_.Start();
    TestSnapshot made = MakeTestSnapshot(1);
    scorer_ = made.scorer;
    snapshot_ = std::shared_ptr<const Snapshot>(std::move(made.snapshot));
    server_.server().snapshots().Swap(snapshot_);
    request_.set_user_id("u2");
    request_.set_k(33);
  }
  ~TakedownsRpcTest() override { scorer_->Unblock(); }

  // From now on; an empty id is nobody's.
  void Block(const std::string& item_id, const std::string& user_id) {
    auto rows = std::make_shared<BlockedRows>();
    if (!item_id.empty()) {
      rows->allowed_items = ItemMask::All(snapshot_->shape().num_items);
      rows->allowed_items->Clear(*snapshot_->item_ids->Find(item_id));
      rows->num_items = 1;
    }
    if (!user_id.empty()) {
      rows->users.insert(*snapshot_->user_ids->Find(user_id));
    }
    snapshot_->blocked->Set(std::move(rows));
  }

  Reply Recommend(const v1::RecommendRequest& request) {
    Reply reply;
    reply.status = server_.recommendations()->Recommend(
        PatientContext().get(), request, &reply.response);
    return reply;
  }
  v1::BatchRecommendResponse RecommendBatch(
      const std::vector<v1::RecommendRequest>& requests) {
    v1::BatchRecommendRequest batch;
    for (const auto& request : requests) *batch.add_requests() = request;
    v1::BatchRecommendResponse response;
    const grpc::Status status = server_.recommendations()->BatchRecommend(
        PatientContext().get(), batch, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  // What `call` returns when `change` comes while the scorer holds it.
  template <typename Call, typename Change>
  auto Meanwhile(const Call& call, const Change& change) {
    scorer_->Block();
    decltype(call()) result;
    std::thread caller([&] { result = call(); });
    scorer_->WaitUntilHeld();
    change();
    scorer_->Unblock();
    caller.join();
    return result;
  }
  v1::RecommendRequest Of(const std::string& user_id) const {
    v1::RecommendRequest request = request_;
    request.set_user_id(user_id);
    return request;
  }
  static v1::RecommendRequest OrPopular(v1::RecommendRequest request) {
    request.set_unknown_user_policy(v1::UNKNOWN_USER_POLICY_POPULAR);
    return request;
  }
  static std::vector<std::string> Ids(const v1::RecommendResponse& response) {
    std::vector<std::string> ids;
    for (const auto& item : response.items()) ids.push_back(item.item_id());
    return ids;
  }
  static void ExpectWithout(const std::string& id,
                            const v1::RecommendResponse& response) {
    EXPECT_THAT(Ids(response), Not(Contains(id)));
    EXPECT_EQ(response.items_size(), 32);
    EXPECT_EQ(response.candidate_count(), 32);
    EXPECT_EQ(response.shortfall_reason(), v1::SHORTFALL_REASON_ELIGIBLE_ITEMS);
  }
  static void ExpectSame(const Reply& a, const Reply& b) {
    EXPECT_EQ(a.status.error_code(), b.status.error_code());
    EXPECT_EQ(a.status.error_message(), b.status.error_message());
    EXPECT_EQ(a.status.error_details(), b.status.error_details());
    EXPECT_EQ(a.response.SerializeAsString(), b.response.SerializeAsString());
  }

  RunningServer server_;
  std::shared_ptr<FakeScorer> scorer_;
  std::shared_ptr<const Snapshot> snapshot_;
  v1::RecommendRequest request_;
};

TEST_F(TakedownsRpcTest, ABlockedItemIsInNoAnswer) {
  Block("i0", "");
  ExpectWithout("i0", Recommend(request_).response);
  ExpectWithout("i0", Recommend(OrPopular(Of("nobody"))).response);
  const auto batch = RecommendBatch({request_, OrPopular(Of("nobody"))});
  for (const auto& result : batch.results()) {
    ExpectWithout("i0", result.response());
  }
}

TEST_F(TakedownsRpcTest, ABlockedUserCannotBeToldFromOneThatNeverWas) {
  Block("", "u2");
  ExpectSame(Recommend(request_), Recommend(Of("nobody")));
  EXPECT_EQ(Recommend(request_).status.error_code(),
            grpc::StatusCode::NOT_FOUND);
  ExpectSame(Recommend(OrPopular(request_)),
             Recommend(OrPopular(Of("nobody"))));
  const auto batch = RecommendBatch({request_, Of("nobody")});
  EXPECT_EQ(batch.results(0).SerializeAsString(),
            batch.results(1).SerializeAsString());
  EXPECT_EQ(Recommend(Of("u3")).response.served_from(), v1::SERVED_FROM_MODEL);
}

TEST_F(TakedownsRpcTest, AnItemBlockedWhileACallIsScoredIsNotInItsAnswer) {
  const Reply reply =
      Meanwhile([&] { return Recommend(request_); }, [&] { Block("i0", ""); });
  EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
  ExpectWithout("i0", reply.response);
}

TEST_F(TakedownsRpcTest, AUserBlockedWhileACallIsScoredIsUnknown) {
  const Reply late =
      Meanwhile([&] { return Recommend(request_); }, [&] { Block("", "u2"); });
  ExpectSame(late, Recommend(Of("nobody")));
  Block("", "");
  const Reply popular = Meanwhile(
      [&] { return Recommend(OrPopular(request_)); }, [&] { Block("", "u2"); });
  ExpectSame(popular, Recommend(OrPopular(Of("nobody"))));
}

TEST_F(TakedownsRpcTest, BlockedUsersCountAsUnknownHoweverLateTheyWereBlocked) {
  Meanwhile([&] { return Recommend(request_); }, [&] { Block("", "u2"); });
  Recommend(request_);
  EXPECT_TRUE(Eventually([&] {
    return ReadMetric(server_.server().counters(), kUnknownUsers) == 2;
  }));
}

TEST_F(TakedownsRpcTest, ABatchUnderWayIsAnsweredAsIfItHadComeLater) {
  const std::vector<v1::RecommendRequest> requests = {
      request_, Of("u3"), OrPopular(request_), OrPopular(Of("nobody")),
      Of("nobody")};
  const auto late = Meanwhile([&] { return RecommendBatch(requests); },
                              [&] { Block("i0", "u2"); });
  EXPECT_EQ(late.SerializeAsString(),
            RecommendBatch(requests).SerializeAsString());
  EXPECT_TRUE(late.results(0).has_error());
  ExpectWithout("i0", late.results(1).response());
  EXPECT_EQ(late.results(2).response().served_from(), v1::SERVED_FROM_POPULAR);
}

}  // namespace
}  // namespace neumf
