#include "client/load_generator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/mutex.h"
#include "grpcpp/grpcpp.h"
#include "neumf/v1/recommendation_service.grpc.pb.h"
#include "tests/client/fake_server.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using absl::StatusCode;
using ::testing::SizeIs;

// Answers at once, but for one stall of the whole server when the test asks for
// it.
class StallingServer final : public v1::RecommendationService::Service {
 public:
  StallingServer() {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    address_ = absl::StrCat("127.0.0.1:", port);
  }
  ~StallingServer() override { server_->Shutdown(); }

  const std::string& address() const { return address_; }

  // From the call of this number on, the first being 1, no call is answered for
  // `duration`.
  void StallAt(int call, absl::Duration duration) {
    const MutexLock lock(&mutex_);
    stalling_call_ = call;
    stall_ = duration;
  }
  // Every so many calls one is answered with UNAVAILABLE; 0: none.
  void RefuseEvery(int calls) {
    const MutexLock lock(&mutex_);
    refuse_every_ = calls;
  }

  int num_calls() const {
    const MutexLock lock(&mutex_);
    return num_calls_;
  }
  std::set<std::string> users() const {
    const MutexLock lock(&mutex_);
    return users_;
  }
  std::set<std::string> peers() const {
    const MutexLock lock(&mutex_);
    return peers_;
  }
  std::set<std::string> authorizations() const {
    const MutexLock lock(&mutex_);
    return authorizations_;
  }

  grpc::Status Recommend(grpc::ServerContext* context,
                         const v1::RecommendRequest* request,
                         v1::RecommendResponse* response) override {
    response->add_items()->set_item_id(absl::StrCat("k", request->k()));
    return Enter(*context, {request->user_id()});
  }

  // Users whose id begins with "unknown" get an error.
  grpc::Status BatchRecommend(grpc::ServerContext* context,
                              const v1::BatchRecommendRequest* request,
                              v1::BatchRecommendResponse* response) override {
    std::vector<std::string> users;
    for (const v1::RecommendRequest& one : request->requests()) {
      users.push_back(one.user_id());
      v1::RecommendResult* const result = response->add_results();
      if (absl::StartsWith(one.user_id(), "unknown")) {
        result->mutable_error()->set_code(grpc::StatusCode::NOT_FOUND);
      } else {
        result->mutable_response();
      }
    }
    return Enter(*context, users);
  }

 private:
  grpc::Status Enter(const grpc::ServerContext& context,
                     const std::vector<std::string>& users) {
    absl::Time stalled_until;
    bool refused = false;
    {
      const MutexLock lock(&mutex_);
      ++num_calls_;
      users_.insert(users.begin(), users.end());
      peers_.insert(context.peer());
      const auto found = context.client_metadata().find("authorization");
      if (found != context.client_metadata().end()) {
        authorizations_.emplace(found->second.data(), found->second.size());
      }
      if (num_calls_ == stalling_call_) stalled_until_ = absl::Now() + stall_;
      stalled_until = stalled_until_;
      refused = refuse_every_ > 0 && num_calls_ % refuse_every_ == 0;
    }
    absl::SleepFor(stalled_until - absl::Now());
    return refused ? ErrorWithInfo(grpc::StatusCode::UNAVAILABLE, "QUEUE_FULL")
                   : grpc::Status::OK;
  }

  std::string address_;
  mutable Mutex mutex_;
  int num_calls_ ABSL_GUARDED_BY(mutex_) = 0;
  int stalling_call_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Duration stall_ ABSL_GUARDED_BY(mutex_);
  absl::Time stalled_until_ ABSL_GUARDED_BY(mutex_);
  int refuse_every_ ABSL_GUARDED_BY(mutex_) = 0;
  std::set<std::string> users_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> peers_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> authorizations_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<grpc::Server> server_;
};

class LoadGeneratorTest : public testing::Test {
 protected:
  LoadGeneratorTest() {
    options_.target = server_.address();
    options_.user_ids = {"1", "22", "333"};
    options_.arrivals = ArrivalSchedule::Kind::kUniform;
    options_.duration = absl::Milliseconds(500);
    options_.warmup = absl::ZeroDuration();
    // Long enough for the slowest machine; tests of time set their own.
    options_.deadline = absl::Seconds(60);
  }

  LoadResult Run(double rate) {
    auto generator = LoadGenerator::Create(options_);
    EXPECT_THAT(generator, IsOk());
    return (*generator)->Run(rate);
  }

  StallingServer server_;
  LoadGenerator::Options options_;
};

TEST_F(LoadGeneratorTest, OffersTheRateAndCountsTheAnswers) {
  const LoadResult result = Run(202);

  EXPECT_EQ(result.num_calls(), 101);
  EXPECT_EQ(result.num_calls(StatusCode::kOk), 101);
  EXPECT_EQ(result.answered().count(), 101);
  EXPECT_EQ(result.lag().count(), 101);
  EXPECT_EQ(result.goodput(), 202);
  EXPECT_GT(result.Quantile(0.5), absl::ZeroDuration());
  EXPECT_EQ(server_.num_calls(), 101);
  EXPECT_EQ(server_.users(), (std::set<std::string>{"1", "22", "333"}));
}

TEST_F(LoadGeneratorTest, LeavesTheWarmUpOut) {
  options_.warmup = absl::Milliseconds(200);

  const LoadResult result = Run(100);

  EXPECT_EQ(result.num_calls(), 50);
  EXPECT_EQ(server_.num_calls(), 70);
}

TEST_F(LoadGeneratorTest, CanRunAgain) {
  auto generator = LoadGenerator::Create(options_);
  ASSERT_THAT(generator, IsOk());

  EXPECT_EQ((*generator)->Run(50).num_calls(), 25);
  EXPECT_EQ((*generator)->Run(90).num_calls(), 45);
}

TEST_F(LoadGeneratorTest, UsesAllItsConnections) {
  options_.connections = 3;

  EXPECT_EQ(Run(100).num_calls(StatusCode::kOk), 50);

  EXPECT_THAT(server_.peers(), SizeIs(3));
}

TEST_F(LoadGeneratorTest, SendsItsTokenWithEachCall) {
  options_.security.token = "secret";

  EXPECT_EQ(Run(100).num_calls(StatusCode::kOk), 50);

  EXPECT_EQ(server_.authorizations(), std::set<std::string>{"Bearer secret"});
}

TEST_F(LoadGeneratorTest, CountsRefusalsAndDoesNotRetryThem) {
  server_.RefuseEvery(5);

  const LoadResult result = Run(100);

  EXPECT_EQ(result.refused().count(), 10);
  EXPECT_EQ(result.answered().count(), 40);
  EXPECT_EQ(server_.num_calls(), 50);
}

TEST_F(LoadGeneratorTest, SendsBatchesAndCountsTheirFailedUsers) {
  options_.batch_size = 7;
  options_.user_ids = {"unknown"};

  const LoadResult result = Run(20);

  EXPECT_EQ(result.num_calls(StatusCode::kOk), 10);
  EXPECT_EQ(result.failed_users(), 70);
}

// A caller that waits for each answer before the next call would have met the
// stall once, in one call of 300.
TEST_F(LoadGeneratorTest, ChargesAStallToEveryCallThatWasDueMeanwhile) {
  options_.duration = absl::Milliseconds(1500);
  server_.StallAt(60, absl::Milliseconds(600));

  const LoadResult result = Run(200);

  ASSERT_EQ(result.answered().count(), 300);
  // 120 calls came due meanwhile and waited for 0 to 600 ms.
  // Of those that did not, few are asked of a machine that may stall as well.
  EXPECT_LT(result.Quantile(0.1), absl::Milliseconds(200));
  EXPECT_GT(result.Quantile(0.9), absl::Milliseconds(400));
  EXPECT_GT(result.Quantile(0.99), absl::Milliseconds(500));
}

TEST_F(LoadGeneratorTest, CallsExpireTheDeadlineAfterTheyWereDue) {
  options_.deadline = absl::Milliseconds(150);
  server_.StallAt(1, absl::Milliseconds(900));

  const LoadResult result = Run(100);

  EXPECT_EQ(result.num_calls(StatusCode::kDeadlineExceeded), 50);
  EXPECT_EQ(result.goodput(), 0);
  EXPECT_EQ(result.Quantile(0.01), absl::InfiniteDuration());
  EXPECT_GE(result.failed().AtRank(1), absl::Milliseconds(149));
}

// No machine sends 5,000 calls in 5 ms.
TEST_F(LoadGeneratorTest, ShowsItsOwnLagAndAddsItToTheLatencies) {
  options_.duration = absl::Milliseconds(5);

  const LoadResult result = Run(1e6);

  ASSERT_EQ(result.lag().count(), 5000);
  ASSERT_EQ(result.answered().count(), 5000);
  EXPECT_GT(result.lag().max(), absl::Milliseconds(5));
  for (const int64_t rank : {500, 2500, 4950, 5000}) {
    EXPECT_GE(result.answered().AtRank(rank), result.lag().AtRank(rank));
  }
}

TEST_F(LoadGeneratorTest, FailsWithoutAConnection) {
  options_.target = "unix:/nonexistent/socket";
  options_.connect_timeout = absl::Milliseconds(50);

  EXPECT_THAT(LoadGenerator::Create(options_),
              StatusIs(StatusCode::kUnavailable));
}

TEST_F(LoadGeneratorTest, RefusesOptionsOutOfRange) {
  const auto refuses = [this](void (*change)(LoadGenerator::Options&)) {
    LoadGenerator::Options options = options_;
    change(options);
    return LoadGenerator::Create(options).status().code() ==
           StatusCode::kInvalidArgument;
  };
  using Options = LoadGenerator::Options;
  EXPECT_TRUE(refuses([](Options& o) { o.target.clear(); }));
  EXPECT_TRUE(refuses([](Options& o) { o.user_ids.clear(); }));
  EXPECT_TRUE(refuses([](Options& o) { o.connections = 0; }));
  EXPECT_TRUE(refuses([](Options& o) { o.k = -1; }));
  EXPECT_TRUE(refuses([](Options& o) { o.batch_size = -1; }));
  EXPECT_TRUE(refuses([](Options& o) { o.duration = absl::ZeroDuration(); }));
  EXPECT_TRUE(refuses([](Options& o) { o.deadline = absl::ZeroDuration(); }));
  EXPECT_TRUE(refuses([](Options& o) { o.warmup = -absl::Seconds(1); }));
}

}  // namespace
}  // namespace neumf
