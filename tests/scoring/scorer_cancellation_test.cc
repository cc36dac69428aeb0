// Queries that nobody waits for any more, given up in the middle of a scan.

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <thread>

#include "absl/time/time.h"
#include "tests/scoring/scorer_fixture.h"

namespace neumf {
namespace {

absl::Duration CpuTime(clockid_t clock) {
  timespec time{};
  // A thread that has just ended has no clock any more.
  return clock_gettime(clock, &time) == 0 ? absl::DurationFromTimespec(time)
                                          : absl::ZeroDuration();
}

class ScorerCancellationTest : public ScorerTest {
 protected:
  struct Outcome {
    std::vector<Ranking> rankings;
    absl::Duration cpu_time;  // of the thread that called Rank()
  };

  // A scan that takes long enough to be met in the middle.
  void UseLarge(uint32_t gmf_width, const Widths& tower) {
    TinyModelOptions options = Sized(20000, gmf_width, tower);
    options.num_users = 40;
    Use(options);
    queries_ = QueriesOfAll(50);
    whole_ = RankAndMeasure();
  }

  Outcome RankAndMeasure() const {
    const absl::Duration before = CpuTime(CLOCK_THREAD_CPUTIME_ID);
    Outcome outcome;
    outcome.rankings = RankBatch(queries_);
    outcome.cpu_time = CpuTime(CLOCK_THREAD_CPUTIME_ID) - before;
    return outcome;
  }

  // Sets cancelled_ when another thread has done a quarter of the scan. Its CPU
  // time tells how far it is, however busy the machine is.
  Outcome RankAndCancel() {
    cancelled_ = false;
    Outcome outcome;
    clockid_t clock{};
    std::atomic<bool> started{false};
    std::atomic<bool> done{false};
    std::thread caller([&] {
      EXPECT_EQ(pthread_getcpuclockid(pthread_self(), &clock), 0);
      started = true;
      outcome = RankAndMeasure();
      done = true;
    });
    while (!started) std::this_thread::yield();
    while (!done && CpuTime(clock) < whole_.cpu_time / 4) {
      std::this_thread::yield();
    }
    cancelled_ = true;
    caller.join();
    return outcome;
  }

  void ExpectThatOneIsLeftAndTheOthersAreFinished() {
    queries_[3].cancelled = &cancelled_;
    bool met = false;
    for (int attempt = 0; attempt < kAttempts && !met; ++attempt) {
      const std::vector<Ranking> rankings = RankAndCancel().rankings;
      met = rankings[3].cancelled;
      for (size_t b = 0; b < queries_.size(); ++b) {
        if (b == 3 && met) continue;
        ASSERT_FALSE(rankings[b].cancelled);
        ASSERT_EQ(RowsAndScoreBits(rankings[b]),
                  RowsAndScoreBits(whole_.rankings[b]));
      }
    }
    EXPECT_TRUE(met);
  }

  // All of them are cancelled, and most of the work is never done.
  void ExpectThatAllAreLeft() {
    for (RankQuery& query : queries_) query.cancelled = &cancelled_;
    const auto is_cancelled = [](const Ranking& ranking) {
      return ranking.cancelled;
    };
    bool met = false;
    for (int attempt = 0; attempt < kAttempts && !met; ++attempt) {
      const Outcome outcome = RankAndCancel();
      met = std::all_of(outcome.rankings.begin(), outcome.rankings.end(),
                        is_cancelled) &&
            outcome.cpu_time < whole_.cpu_time / 2;
    }
    EXPECT_TRUE(met);
  }

  // A scan may end before it is met, which says nothing.
  static constexpr int kAttempts = 20;

  std::vector<RankQuery> queries_;
  Outcome whole_;
  std::atomic<bool> cancelled_{false};
};

// The reference scans for one query after the other.
INSTANTIATE_TEST_SUITE_P(OneThread, ScorerCancellationTest,
                         testing::ValuesIn(CpuBackends(1)), BackendCaseName);
INSTANTIATE_TEST_SUITE_P(ThreeThreads, ScorerCancellationTest,
                         testing::ValuesIn(CpuBackends(3)), BackendCaseName);

TEST_P(ScorerCancellationTest, LeavesAQueryInTheMiddleOfTowers) {
  UseLarge(0, {32, 24});
  ExpectThatOneIsLeftAndTheOthersAreFinished();
}

TEST_P(ScorerCancellationTest, LeavesAQueryInTheMiddleOfDotProducts) {
  UseLarge(200, {});
  ExpectThatOneIsLeftAndTheOthersAreFinished();
}

TEST_P(ScorerCancellationTest, StopsTowersWhenNobodyWaits) {
  UseLarge(0, {32, 24});
  ExpectThatAllAreLeft();
}

}  // namespace
}  // namespace neumf
