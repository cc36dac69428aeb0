#include "server/self_probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <utility>

#include "tests/server/metric_reader.h"
#include "tests/server/running_server.h"
#include "tests/server/test_snapshot.h"
#include "tests/support/eventually.h"
#include "tests/support/fake_clock.h"

namespace neumf {
namespace {

// A probe whose answer the test decides.
class SelfProbeTest : public testing::Test {
 protected:
  static constexpr absl::Duration kInterval = absl::Seconds(5);

  // Returns when it has been asked once more.
  void Turn(const absl::Status& answer) {
    answers_ = answer.ok();
    const int before = turns_;
    EXPECT_TRUE(Eventually([&] {
      // Little by little: a jump would be one turn or two.
      if (turns_ == before) clock_.Advance(kInterval / 10);
      return turns_ > before;
    }));
  }
  void Miss() { Turn(absl::DeadlineExceededError("no answer")); }
  void Answer() { Turn(absl::OkStatus()); }
  bool BecomesLive(bool live) {
    return Eventually([&] {
      return probe_.live() == live &&
             ReadMetric(metrics_, "neumf_live") == (live ? 1 : 0);
    });
  }

  FakeClock clock_;
  ServerMetrics metrics_;
  std::atomic<bool> answers_{true};
  std::atomic<int> turns_{0};
  SelfProbe probe_{kInterval, &clock_, &metrics_, [this] {
                     const bool answers = answers_;
                     ++turns_;
                     return answers ? absl::OkStatus()
                                    : absl::UnavailableError("stuck");
                   }};
};

TEST_F(SelfProbeTest, ThreeMissesInARowAreNoLife) {
  Miss();
  Miss();
  Answer();
  Miss();
  Miss();
  EXPECT_TRUE(probe_.live());
  Miss();
  EXPECT_TRUE(BecomesLive(false));
  Miss();
  EXPECT_TRUE(BecomesLive(false));
}

TEST_F(SelfProbeTest, OneAnswerIsLife) {
  for (int i = 0; i < 3; ++i) Miss();
  ASSERT_TRUE(BecomesLive(false));
  Answer();
  EXPECT_TRUE(BecomesLive(true));
}

TEST_F(SelfProbeTest, CountsWhatItAsked) {
  Answer();
  Miss();
  Answer();
  EXPECT_TRUE(Eventually(
      [&] { return ReadMetric(metrics_, "neumf_self_probes_total") >= 3; }));
  EXPECT_EQ(ReadMetric(metrics_, "neumf_self_probe_failures_total"), 1);
}

TEST(ServerSelfProbeTest, IsAnswered) {
  RunningServer server;
  server.options.self_probe_interval = absl::Milliseconds(10);
  server.Publish(MakeTinyModel({}));
  server.Start();
  const ServerMetrics& metrics = server.server().counters();
  EXPECT_TRUE(Eventually(
      [&] { return ReadMetric(metrics, "neumf_self_probes_total") >= 3; }));
  EXPECT_EQ(ReadMetric(metrics, "neumf_self_probe_failures_total"), 0);
  EXPECT_TRUE(server.server().Report().live);
}

// Takes the five seconds after which a silent scorer counts as stuck.
TEST(ServerSelfProbeTest, NoticesAScorerThatHangs) {
  RunningServer server;
  server.options.wait_for_checkpoint = true;
  server.options.self_probe_interval = absl::Milliseconds(10);
  server.Start();
  TestSnapshot hanging = MakeTestSnapshot(1);
  const auto scorer = hanging.scorer;
  scorer->Block();
  server.server().snapshots().Swap(std::move(hanging.snapshot));
  std::thread caller([&] {
    v1::RecommendRequest request;
    request.set_user_id("u0");
    v1::RecommendResponse response;
    EXPECT_TRUE(server.recommendations()
                    ->Recommend(PatientContext().get(), request, &response)
                    .ok());
  });
  EXPECT_TRUE(Eventually([&] { return !server.server().Report().live; }));
  scorer->Unblock();
  EXPECT_TRUE(Eventually([&] { return server.server().Report().live; }));
  caller.join();
}

}  // namespace
}  // namespace neumf
