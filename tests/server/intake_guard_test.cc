#include "server/intake_guard.h"

#include <gtest/gtest.h>

#include <vector>

namespace neumf {
namespace {

class IntakeGuardTest : public testing::Test {
 protected:
  ~IntakeGuardTest() override { ReleaseAll(); }

  void Arrive(int64_t times) {
    for (int64_t i = 0; i < times; ++i) {
      contexts_.push_back(allocator_->NewCallbackServerContext());
    }
  }
  void EnterAll() {
    for (auto* context : contexts_) IntakeGuard::HandlerEntered(context);
  }
  void ReleaseAll() {
    for (auto* context : contexts_) allocator_->Release(context);
    contexts_.clear();
  }

  int num_floods_ = 0;
  IntakeGuard guard_{[this] { ++num_floods_; }};
  const std::unique_ptr<grpc::ContextAllocator> allocator_ =
      guard_.MakeContexts();
  std::vector<grpc::CallbackServerContext*> contexts_;
};

TEST_F(IntakeGuardTest, TellsOfCallsThatWaitForHandlersThatDoNotCome) {
  Arrive(IntakeGuard::kMostPending - 1);
  EXPECT_EQ(num_floods_, 0);
  Arrive(1);
  EXPECT_EQ(num_floods_, 1);
  Arrive(IntakeGuard::kCallsBetweenWaits - 1);
  EXPECT_EQ(num_floods_, 1);
  Arrive(1);
  EXPECT_EQ(num_floods_, 2);
}

TEST_F(IntakeGuardTest, CallsThatHaveTheirHandlersDoNotWait) {
  for (int i = 0; i < 3; ++i) {
    Arrive(IntakeGuard::kMostPending / 2);
    EnterAll();
  }
  EXPECT_EQ(guard_.pending(), 0);
  EXPECT_EQ(num_floods_, 0);
}

TEST_F(IntakeGuardTest, CallsThatNeverReachAHandlerWaitUntilTheyAreOver) {
  Arrive(5);
  IntakeGuard::HandlerEntered(contexts_.front());
  EXPECT_EQ(guard_.pending(), 4);
  ReleaseAll();
  EXPECT_EQ(guard_.pending(), 0);
}

TEST_F(IntakeGuardTest, ContextsFromElsewhereAreNotCounted) {
  grpc::CallbackServerContext context;
  IntakeGuard::HandlerEntered(&context);
  EXPECT_EQ(guard_.pending(), 0);
}

}  // namespace
}  // namespace neumf
