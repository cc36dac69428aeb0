// Many callers of one scorer, and a reset beside them.

#include <atomic>
#include <thread>

#include "tests/scoring/cuda/cuda_scorer_fixture.h"

namespace neumf::cuda {
namespace {

class CudaThreadsTest : public CudaScorerTest {
 protected:
  // With little to emulate.
  CudaThreadsTest() {
    options_.coarse = false;
    options_.max_users = 8;
    TinyModelOptions options = Sized(100, 3, {5, 2});
    options.num_users = 5;
    Use(options);
  }
};

TEST_F(CudaThreadsTest, AnswersMoreCallersThanThereAreStreams) {
  const std::vector<RankQuery> queries = Queries(5, 20);
  const std::vector<Ranking> expected = Rank(queries);
  std::vector<std::vector<Ranking>> answers(queries.size());
  std::vector<std::thread> callers;
  for (size_t b = 0; b < queries.size(); ++b) {
    callers.emplace_back([&, b] {
      for (int i = 0; i < 3; ++i) answers[b] = Rank({queries[b]});
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (size_t b = 0; b < queries.size(); ++b) {
    EXPECT_EQ(answers[b][0].items, expected[b].items);
  }
}

TEST_F(CudaThreadsTest, WaitWithAResetForCallsUnderWay) {
  std::atomic<uint64_t> num_answers{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&] {
      absl::Status status;
      while (status.ok()) {
        status = TryRank(Queries(3, 10));
        ++num_answers;
      }
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
    });
  }
  while (num_answers < 4) std::this_thread::yield();
  NEUMF_EXPECT_OK(ResetCudaDevice(0));
  for (std::thread& caller : callers) caller.join();
}

TEST_F(CudaThreadsTest, BuildAScorerWhileAnotherOneAnswers) {
  std::atomic<bool> built{false};
  std::thread caller([&] {
    while (!built) NEUMF_EXPECT_OK(TryRank(Queries(2, 10)));
  });
  NEUMF_EXPECT_OK(TryBuild(tiny_));
  built = true;
  caller.join();
}

}  // namespace
}  // namespace neumf::cuda
