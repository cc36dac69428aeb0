#include "server/scoring_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <list>
#include <memory>
#include <thread>
#include <utility>

#include "tests/server/metric_reader.h"
#include "tests/server/test_snapshot.h"
#include "tests/support/eventually.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

constexpr char kCaller[] = "shop";
constexpr size_t kBurst = 3;

// Calls of one caller, who has a quota of kBurst users and gets no more.
class ScoringCallTest : public testing::Test {
 protected:
  ScoringCallTest() : files_(MakePosixFileSystem()) {
    const std::string path = directory_.Path("quotas");
    NEUMF_EXPECT_OK(WriteFileAtomically(*files_, path, "shop 0.001 3\n"));
    quotas_ =
        std::make_unique<CallerQuotas>(path, files_.get(), &clock_, &metrics_);
    NEUMF_EXPECT_OK(quotas_->Load());
    TestSnapshot made = MakeTestSnapshot(1);
    scorer_ = made.scorer;
    snapshot_ = std::move(made.snapshot);
    batcher_ = std::make_unique<RequestBatcher>(
        RequestBatcher::Options(), &clock_, &device_, &recent_, &metrics_);
  }
  ~ScoringCallTest() override {
    scorer_->Unblock();
    batcher_.reset();
  }

  // As the handler does it.
  std::shared_ptr<RecommendCall> MakeCall() {
    EXPECT_TRUE(Takes(1));
    GrpcParts& grpc = grpc_.emplace_back();
    auto call = std::make_shared<RecommendCall>(
        CallParts{&clock_, &metrics_, &registry_}, RpcMethod::kRecommend,
        &grpc.context, &grpc.response);
    call->set_caller(kCaller);
    call->set_snapshot(snapshot_);
    ResolvedQuery query;
    query.k = 1;
    call->Admit(std::move(query));
    call->set_quotas(quotas_.get());
    return call;
  }
  std::shared_ptr<RecommendCall> Submit() {
    auto call = MakeCall();
    NEUMF_EXPECT_OK(call->Proceed(batcher_.get()));
    return call;
  }
  // Whether the caller has so many users left; they are gone then.
  bool Takes(size_t num_users) {
    return quotas_->Take({kCaller, Rights::All()}, num_users).ok();
  }
  double NumRefused() const {
    return ReadMetric(metrics_, "neumf_refusal_duration_seconds");
  }
  // The batcher takes no more calls; what it has it ends.
  std::thread BeginToStop() {
    std::thread stopper([this] { batcher_->Stop(); });
    EXPECT_TRUE(Eventually([this] {
      auto probe = std::make_shared<PendingCall>();
      probe->snapshot = snapshot_;
      probe->queries.resize(1);
      probe->done = [](const absl::Status&) {};
      batcher_->Submit(std::move(probe)).IgnoreError();
      return ReadMetric(metrics_, "neumf_requests_shed_total",
                        {{"reason", "draining"}}) > 0;
    }));
    return stopper;
  }

  // What gRPC would hold for a call.
  struct GrpcParts {
    grpc::CallbackServerContext context;
    grpc::ByteBuffer response;
  };

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_;
  FakeClock clock_;
  ServerMetrics metrics_;
  CallRegistry registry_;
  ScoringDevice device_{{}, /*uses_gpu=*/false, &metrics_, [] {}};
  RecentQueries recent_;
  std::unique_ptr<CallerQuotas> quotas_;
  std::shared_ptr<FakeScorer> scorer_;
  std::shared_ptr<const Snapshot> snapshot_;
  std::list<GrpcParts> grpc_;
  std::unique_ptr<RequestBatcher> batcher_;
};

TEST_F(ScoringCallTest, WhatWasAnsweredIsPaidFor) {
  const auto call = Submit();
  ASSERT_TRUE(Eventually([&] { return call->finished(); }));
  EXPECT_FALSE(Takes(kBurst));
  EXPECT_TRUE(Takes(kBurst - 1));
}

TEST_F(ScoringCallTest, WhatFindsNoRoomCostsNothing) {
  batcher_->Stop();
  const auto call = MakeCall();
  const absl::Status refused = call->Proceed(batcher_.get());
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kUnavailable));
  call->Fail(refused);
  EXPECT_TRUE(Takes(kBurst));
  EXPECT_EQ(NumRefused(), 1);
}

TEST_F(ScoringCallTest, WhatIsDroppedFromTheQueueCostsNothing) {
  scorer_->Block();
  const auto held = Submit();
  scorer_->WaitUntilHeld();
  const auto waiting = Submit();
  std::thread stopper = BeginToStop();
  scorer_->Unblock();
  stopper.join();
  EXPECT_TRUE(held->finished());
  EXPECT_TRUE(waiting->finished());
  EXPECT_FALSE(Takes(kBurst));
  EXPECT_TRUE(Takes(kBurst - 1));  // held was answered
  EXPECT_EQ(NumRefused(), 0);      // it has waited, and was no refusal at once
}

TEST_F(ScoringCallTest, WhatTheScorerFailedAtIsPaidFor) {
  scorer_->FailWith(absl::InternalError("broken"));
  const auto call = Submit();
  ASSERT_TRUE(Eventually([&] { return call->finished(); }));
  EXPECT_FALSE(Takes(kBurst));
  EXPECT_EQ(NumRefused(), 0);
}

}  // namespace
}  // namespace neumf
