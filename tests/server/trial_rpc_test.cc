// Trials of new versions over a connection: who answers whom.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/server/metric_reader.h"
#include "tests/server/running_server.h"
#include "tests/support/eventually.h"

namespace neumf {
namespace {

constexpr int kNumUsers = 64;

class TrialRpcTest : public testing::Test {
 protected:
  TrialRpcTest() {
    VersionTrial::Options& trial = server_.options.trial;
    trial.shadow_duration = absl::ZeroDuration();
    trial.canary_duration = absl::ZeroDuration();
    trial.min_requests = kNumUsers;
    // This machine's times are nobody's fault.
    trial.max_latency_ratio = 1000;
  }

  // Of version 1, or of a later one.
  void Publish(uint64_t num_users = kNumUsers) {
    TinyModelOptions options;
    options.num_users = num_users;
    server_.Publish(MakeTinyModel(options));
  }
  // Serves version 1 and puts version 2, of as many users, on trial.
  void StartTrial(uint64_t num_users = kNumUsers) {
    Publish();
    server_.Start();
    Publish(num_users);
    ASSERT_TRUE(Eventually([&] { return Metric("neumf_trial_phase") > 0; }));
  }
  double Metric(const std::string& name, const MetricLabels& labels = {}) {
    return ReadMetric(server_.server().counters(), name, labels);
  }
  // The version that answers; the status where none does.
  std::string Ask(int user) {
    v1::RecommendRequest request;
    request.set_user_id(absl::StrCat("u", user));
    v1::RecommendResponse response;
    const grpc::Status status = server_.recommendations()->Recommend(
        PatientContext().get(), request, &response);
    return status.ok() ? response.model_version() : status.error_message();
  }
  void AskAll() {
    for (int user = 0; user < kNumUsers; ++user) Ask(user);
  }
  uint64_t Served() { return server_.server().snapshots().Get()->version; }

  RunningServer server_;
};

TEST_F(TrialRpcTest, InTheShadowPhaseTheOldVersionAnswersAndBothScore) {
  server_.options.trial.shadow_share = 1;
  server_.options.trial.shadow_duration = absl::Hours(1);
  StartTrial();
  ASSERT_TRUE(Eventually([&] {
    EXPECT_EQ(Ask(0), "1");
    return HasFailure() ||
           Metric("neumf_shadow_requests_total", {{"result", "compared"}}) > 0;
  }));
  EXPECT_GT(Metric("neumf_shadow_overlap_ratio"), 0);
  EXPECT_EQ(Metric("neumf_trial_phase"), 1);
}

TEST_F(TrialRpcTest, InTheCanaryPhaseEachUserStaysWithOneVersion) {
  server_.options.trial.canary_share = 0.5;
  server_.options.trial.canary_duration = absl::Hours(1);
  StartTrial();
  std::map<int, std::string> answered_by;
  for (int round = 0; round < 3; ++round) {
    for (int user = 0; user < kNumUsers; ++user) {
      const std::string version = Ask(user);
      ASSERT_EQ(answered_by.emplace(user, version).first->second, version);
    }
  }
  std::set<std::string> versions;
  for (const auto& [user, version] : answered_by) versions.insert(version);
  EXPECT_THAT(versions, testing::ElementsAre("1", "2"));
}

TEST_F(TrialRpcTest, ABatchIsAnsweredByTheServedVersion) {
  server_.options.trial.canary_share = 1;
  server_.options.trial.canary_duration = absl::Hours(1);
  StartTrial();
  EXPECT_EQ(Ask(0), "2");
  v1::BatchRecommendRequest batch;
  batch.add_requests()->set_user_id("u0");
  v1::BatchRecommendResponse response;
  ASSERT_TRUE(server_.recommendations()
                  ->BatchRecommend(PatientContext().get(), batch, &response)
                  .ok());
  EXPECT_EQ(response.results(0).response().model_version(), "1");
}

TEST_F(TrialRpcTest, AGoodVersionIsPromotedByItself) {
  server_.options.trial.shadow_share = 1;
  server_.options.trial.canary_share = 0.5;
  StartTrial();
  ASSERT_TRUE(Eventually([&] {
    AskAll();
    return Served() == 2;
  }));
  EXPECT_EQ(Ask(0), "2");
  EXPECT_TRUE(Eventually([&] {
    return Metric("neumf_trials_total", {{"result", "promoted"}}) == 1;
  }));
}

TEST_F(TrialRpcTest, AVersionThatLostItsUsersIsRolledBackByItself) {
  server_.options.trial.canary_share = 0.5;
  StartTrial(/*num_users=*/1);
  ASSERT_TRUE(Eventually([&] {
    AskAll();
    return Metric("neumf_trials_total", {{"result", "rolled_back"}}) == 1;
  }));
  EXPECT_EQ(Served(), 1U);
  for (int user = 0; user < kNumUsers; ++user) EXPECT_EQ(Ask(user), "1");
  EXPECT_TRUE(Eventually([&] {
    v1::ListModelVersionsResponse list;
    EXPECT_TRUE(server_.models()
                    ->ListModelVersions(PatientContext().get(), {}, &list)
                    .ok());
    return list.versions(0).state() == v1::MODEL_STATE_REFUSED &&
           list.versions(0).reason().find("answers failed") !=
               std::string::npos;
  }));
}

TEST_F(TrialRpcTest, AStopDuringATrialIsClean) {
  server_.options.trial.shadow_share = 1;
  StartTrial();
  AskAll();
  server_.Drain();
  EXPECT_EQ(Served(), 1U);
}

}  // namespace
}  // namespace neumf
