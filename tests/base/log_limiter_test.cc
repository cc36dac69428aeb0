#include "base/log_limiter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace neumf {
namespace {

TEST(LogLimiterTest, AdmitsOneAnIntervalAndCountsTheOthers) {
  LogLimiter limiter(absl::Seconds(10));
  EXPECT_EQ(limiter.Admit(absl::Seconds(5)), 0);
  EXPECT_EQ(limiter.Admit(absl::Seconds(5)), std::nullopt);
  EXPECT_EQ(limiter.Admit(absl::Milliseconds(14'999)), std::nullopt);
  EXPECT_EQ(limiter.Admit(absl::Seconds(15)), 2);
  EXPECT_EQ(limiter.Admit(absl::Seconds(60)), 0);
}

TEST(LogLimiterTest, OfManyThreadsOneIsAdmitted) {
  constexpr int kThreads = 4;
  constexpr int kTries = 1000;
  LogLimiter limiter(absl::Seconds(10));
  std::atomic<int> num_admitted{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < kTries; ++n) {
        if (limiter.Admit(absl::Seconds(1)).has_value()) ++num_admitted;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_admitted, 1);
}

}  // namespace
}  // namespace neumf
