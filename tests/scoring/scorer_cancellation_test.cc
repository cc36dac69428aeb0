// Queries that nobody waits for any more, given up in the middle of a scan.

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <thread>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "tests/scoring/scorer_backends.h"

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
  }

  Outcome RankAndMeasure() const {
    const absl::Duration before = CpuTime(CLOCK_THREAD_CPUTIME_ID);
    Outcome outcome;
    outcome.rankings = RankBatch(queries_);
    outcome.cpu_time = CpuTime(CLOCK_THREAD_CPUTIME_ID) - before;
    return outcome;
  }

  // Sets cancelled_ when another thread has done an eighth of the scan. Its CPU
  // time tells how far it is, however busy the machine is.
  Outcome RankAndCancel() {
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
    while (!done && CpuTime(clock) < whole_.cpu_time / 8) {
      std::this_thread::yield();
    }
    cancelled_ = true;
    caller.join();
    return outcome;
  }

  // Until `is_left` says that an outcome shows what it should. A scan that was
  // over before it was met shows nothing: the next one takes twice as long.
  void ExpectOutcome(absl::FunctionRef<bool(const Outcome&)> is_left) {
    for (int attempt = 0; attempt < 8; ++attempt) {
      whole_ = RankAndMeasure();
      if (is_left(RankAndCancel())) return;
      cancelled_ = false;
      const std::vector<RankQuery> same = queries_;
      queries_.insert(queries_.end(), same.begin(), same.end());
    }
    ADD_FAILURE() << "no scan of " << queries_.size() << " queries was left";
  }

  void ExpectThatOneIsLeftAndTheOthersAreFinished() {
    queries_[3].cancelled = &cancelled_;
    ExpectOutcome([&](const Outcome& outcome) {
      bool one_is_left = false;
      for (size_t b = 0; b < queries_.size(); ++b) {
        if (outcome.rankings[b].cancelled) {
          one_is_left = true;
          EXPECT_EQ(queries_[b].cancelled, &cancelled_);
        } else {
          EXPECT_EQ(RowsAndScoreBits(outcome.rankings[b]),
                    RowsAndScoreBits(whole_.rankings[b]));
        }
      }
      return one_is_left;
    });
  }

  void ExpectThatMostWorkIsNeverDone() {
    for (RankQuery& query : queries_) query.cancelled = &cancelled_;
    ExpectOutcome([&](const Outcome& outcome) {
      const auto is_cancelled = [](const Ranking& ranking) {
        return ranking.cancelled;
      };
      return std::all_of(outcome.rankings.begin(), outcome.rankings.end(),
                         is_cancelled) &&
             outcome.cpu_time < whole_.cpu_time / 2;
    });
  }

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

TEST_P(ScorerCancellationTest, StopsDotProductsWhenNobodyWaits) {
  UseLarge(200, {});
  ExpectThatMostWorkIsNeverDone();
}

TEST_P(ScorerCancellationTest, StopsTowersWhenNobodyWaits) {
  UseLarge(0, {32, 24});
  ExpectThatMostWorkIsNeverDone();
}

}  // namespace
}  // namespace neumf
