#include "server/call_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

class FakeCall : public LiveCall {
 public:
  explicit FakeCall(absl::Duration deadline) : deadline_(deadline) {}

  absl::Duration deadline() const override { return deadline_; }
  void FinishWithError(const absl::Status& status) override {
    end_ = status.code();
  }
  absl::Duration cut_time() const override { return cut_time_; }
  void Cut() override { was_cut_ = true; }
  std::optional<absl::StatusCode> end() const { return end_; }
  bool was_cut() const { return was_cut_; }
  void set_cut_time(absl::Duration time) { cut_time_ = time; }

 private:
  const absl::Duration deadline_;
  std::optional<absl::StatusCode> end_;
  absl::Duration cut_time_ = absl::InfiniteDuration();
  bool was_cut_ = false;
};

class CallRegistryTest : public testing::Test {
 protected:
  std::shared_ptr<FakeCall> Add(
      absl::Duration deadline = absl::InfiniteDuration()) {
    auto call = std::make_shared<FakeCall>(deadline);
    registry_.Register(call);
    return call;
  }
  bool IsEmpty() {
    return registry_.WaitUntilEmpty(clock_, clock_.MonotonicNow());
  }

  FakeClock clock_;
  CallRegistry registry_;
};

TEST_F(CallRegistryTest, HoldsACallUntilItIsOver) {
  const std::weak_ptr<FakeCall> call = Add();
  EXPECT_FALSE(call.expired());
  EXPECT_FALSE(IsEmpty());
  registry_.Unregister(call.lock().get());
  EXPECT_TRUE(call.expired());
  EXPECT_TRUE(IsEmpty());
}

TEST_F(CallRegistryTest, FinishesCallsAtTheirDeadlines) {
  const auto early = Add(absl::Seconds(1));
  const auto late = Add(absl::Seconds(2));
  const auto never = Add();
  registry_.FinishExpired(absl::Seconds(1));
  EXPECT_EQ(early->end(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(late->end(), std::nullopt);
  registry_.FinishExpired(absl::Hours(1));
  EXPECT_EQ(late->end(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(never->end(), std::nullopt);
}

TEST_F(CallRegistryTest, CutsCallsAtTheirTimesWhateverTheirDeadlines) {
  const auto unread = Add();
  const auto unfinished = Add(absl::Seconds(1));
  unread->set_cut_time(absl::Seconds(2));
  registry_.FinishExpired(absl::Seconds(1));
  EXPECT_FALSE(unread->was_cut());
  registry_.FinishExpired(absl::Seconds(2));
  EXPECT_TRUE(unread->was_cut());
  EXPECT_FALSE(unfinished->was_cut());
}

TEST_F(CallRegistryTest, FinishesEveryCallAtTheEnd) {
  const auto first = Add(absl::Seconds(1));
  const auto second = Add();
  registry_.FinishAll(absl::UnavailableError("going"));
  EXPECT_EQ(first->end(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(second->end(), absl::StatusCode::kUnavailable);
}

TEST_F(CallRegistryTest, CallsLeaveInAnyOrder) {
  const auto first = Add();
  const auto second = Add();
  const auto third = Add();
  for (const auto& call : {second, third, first}) {
    EXPECT_FALSE(IsEmpty());
    registry_.Unregister(call.get());
  }
  EXPECT_TRUE(IsEmpty());
}

}  // namespace
}  // namespace neumf
