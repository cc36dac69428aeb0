#include "base/thread_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::Each;
using testing::Eq;

// How often each index below `count` is called.
std::vector<int> CountCalls(ThreadPool& pool, size_t count) {
  std::vector<std::atomic<int>> calls(count);
  pool.ParallelFor(count, [&](size_t index, size_t thread) {
    EXPECT_LT(thread, pool.num_threads());
    ++calls[index];
  });
  return std::vector<int>(calls.begin(), calls.end());
}

class ThreadPoolSizes
    : public testing::TestWithParam<std::tuple<size_t, size_t>> {};

TEST_P(ThreadPoolSizes, CallsEachIndexOnce) {
  const auto [num_threads, count] = GetParam();
  ThreadPool pool(num_threads, "test");
  EXPECT_EQ(pool.num_threads(), num_threads);
  for (int repeat = 0; repeat < 20; ++repeat) {
    const std::vector<int> calls = CountCalls(pool, count);
    EXPECT_EQ(calls.size(), count);
    EXPECT_THAT(calls, Each(Eq(1)));
  }
}

INSTANTIATE_TEST_SUITE_P(Sweep, ThreadPoolSizes,
                         testing::Combine(testing::Values(1, 2, 3, 8),
                                          testing::Values(0, 1, 2, 7, 1000)));

class ThreadPoolThreads : public testing::TestWithParam<size_t> {
 protected:
  // Fails at the indices `failing`.
  absl::Status Try(size_t count, const std::set<size_t>& failing) {
    return pool_.TryFor(count, [&](size_t index) {
      called_ += 1;
      return failing.count(index) == 0
                 ? absl::OkStatus()
                 : absl::UnavailableError(absl::StrCat("at ", index));
    });
  }

  ThreadPool pool_{GetParam(), "test"};
  std::atomic<size_t> called_{0};
};

TEST_P(ThreadPoolThreads, TryEveryIndexWhenNoneFails) {
  NEUMF_EXPECT_OK(Try(1000, {}));
  EXPECT_EQ(called_, 1000U);
  NEUMF_EXPECT_OK(Try(0, {}));
}

TEST_P(ThreadPoolThreads, ReportTheFailureOfTheSmallestIndex) {
  for (int repeat = 0; repeat < 100; ++repeat) {
    EXPECT_EQ(Try(1000, {17, 18, 19, 20, 500, 999}).message(), "at 17");
  }
  EXPECT_EQ(Try(1000, {999}).message(), "at 999");
}

INSTANTIATE_TEST_SUITE_P(Sweep, ThreadPoolThreads, testing::Values(1, 2, 4));

// --- Bodies that throw ---

class ThreadPoolThrows : public testing::Test {
 protected:
  // Runs two bodies at once, one a thread; those on the threads `throwing`
  // throw when both are inside.
  void Run(const std::set<size_t>& throwing) {
    size_t inside = 0;
    pool_.ParallelFor(2, [&](size_t /*index*/, size_t thread) {
      {
        MutexLock lock(&mutex_);
        ++inside;
        both_inside_.SignalAll();
        while (inside < 2) both_inside_.Wait(&mutex_);
      }
      const Leaving leaving(&num_left_);
      if (throwing.count(thread) > 0) throw std::runtime_error("thrown");
    });
  }

  void ExpectThrownOnce(const std::set<size_t>& throwing) {
    for (int repeat = 0; repeat < 50; ++repeat) {
      num_left_ = 0;
      EXPECT_THROW(Run(throwing), std::runtime_error);
      EXPECT_EQ(num_left_, 2);
      EXPECT_NO_THROW(Run({}));
      EXPECT_THAT(CountCalls(pool_, 17), Each(Eq(1)));
    }
  }

 private:
  struct Leaving {
    explicit Leaving(std::atomic<int>* count) : num_left(count) {}
    ~Leaving() { ++*num_left; }
    std::atomic<int>* num_left;
  };

  ThreadPool pool_{2, "test"};
  Mutex mutex_;
  CondVar both_inside_;
  std::atomic<int> num_left_{0};
};

TEST_F(ThreadPoolThrows, WhatAWorkerThrew) { ExpectThrownOnce({1}); }

TEST_F(ThreadPoolThrows, WhatTheCallersBodyThrew) { ExpectThrownOnce({0}); }

TEST_F(ThreadPoolThrows, OneOfWhatBothThrew) { ExpectThrownOnce({0, 1}); }

TEST_P(ThreadPoolThreads, HandOutNoIndexAfterAnException) {
  EXPECT_THROW(pool_.ParallelFor(1'000'000,
                                 [&](size_t, size_t) {
                                   ++called_;
                                   throw std::runtime_error("thrown");
                                 }),
               std::runtime_error);
  EXPECT_LE(called_, pool_.num_threads());
  NEUMF_EXPECT_OK(Try(1000, {}));
}

TEST_P(ThreadPoolThreads, PassOnWhatABodyThatCanFailThrows) {
  EXPECT_THROW(pool_
                   .TryFor(100,
                           [](size_t index) -> absl::Status {
                             if (index == 50) throw std::bad_alloc();
                             return absl::OkStatus();
                           })
                   .IgnoreError(),
               std::bad_alloc);
}

TEST(ThreadPoolTest, EndsUnused) { const ThreadPool pool(4, "test"); }

TEST(ThreadPoolTest, RunsOnTheCallerWhenItHasOneThread) {
  ThreadPool pool(1, "test");
  const std::thread::id caller = std::this_thread::get_id();
  pool.ParallelFor(3, [&](size_t /*index*/, size_t thread) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    EXPECT_EQ(thread, 0U);
  });
}

TEST(ThreadPoolTest, RunsAsManyBodiesAtOnceAsItHasThreads) {
  ThreadPool pool(3, "test");
  Mutex mutex;
  CondVar arrived;
  size_t present = 0;
  std::vector<int> seen(3);
  pool.ParallelFor(3, [&](size_t /*index*/, size_t thread) {
    MutexLock lock(&mutex);
    ++seen[thread];
    ++present;
    arrived.SignalAll();
    while (present < 3) arrived.Wait(&mutex);
  });
  EXPECT_THAT(seen, Each(Eq(1)));
}

TEST(ThreadPoolTest, LetsSeveralCallersTakeTurns) {
  ThreadPool pool(3, "test");
  std::atomic<int> inside{0};
  std::vector<std::thread> callers;
  constexpr int kCallers = 4;
  callers.reserve(kCallers);
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 50; ++repeat) {
        EXPECT_THAT(CountCalls(pool, 17), Each(Eq(1)));
      }
      pool.ParallelFor(1, [&](size_t /*index*/, size_t /*thread*/) {
        EXPECT_EQ(++inside, 1);
        --inside;
      });
    });
  }
  for (std::thread& caller : callers) caller.join();
}

TEST(ThreadPoolTest, NamesItsThreads) {
  ThreadPool pool(2, "scorer-with-a-long-name");
  Mutex mutex;
  CondVar arrived;
  size_t present = 0;
  std::string name;
  pool.ParallelFor(2, [&](size_t /*index*/, size_t thread) {
    MutexLock lock(&mutex);
    if (thread == 1) {
      char buffer[16] = {};
      pthread_getname_np(pthread_self(), buffer, sizeof(buffer));
      name = buffer;
    }
    ++present;
    arrived.SignalAll();
    while (present < 2) arrived.Wait(&mutex);
  });
  EXPECT_EQ(name, "scorer-with-a-l");
}

}  // namespace
}  // namespace neumf
