// What the CUDA backend promises of a GPU itself, beside the scorer tests.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "scoring/cuda/cuda_scorer.h"
#include "tests/scoring/scorer_fixture.h"
#include "tests/scoring/scorer_models.h"

namespace neumf {
namespace {

using testing::HasSubstr;

std::unique_ptr<Scorer> MakeGpuScorer(const TinyModel& tiny) {
  BackendCase backend;
  backend.make_builder = [](const ModelShape& shape,
                            const ScoreNetwork& network,
                            const FirstPassOptions& /*first_pass*/) {
    return MakeCudaScorerBuilder(shape, network, {});
  };
  return MakeScorer(backend, tiny);
}

std::vector<RankQuery> QueriesOf(const TinyModel& tiny) {
  std::vector<RankQuery> queries;
  for (uint32_t user = 0; user < tiny.model.shape.num_users; ++user) {
    queries.push_back(QueryOf(tiny, user, 20));
  }
  return queries;
}

std::vector<Ranking> RankAll(const Scorer& scorer, const TinyModel& tiny) {
  const std::vector<RankQuery> queries = QueriesOf(tiny);
  std::vector<Ranking> rankings(queries.size());
  NEUMF_EXPECT_OK(scorer.Rank(queries, absl::MakeSpan(rankings)));
  return rankings;
}

void ExpectSame(const std::vector<Ranking>& a, const std::vector<Ranking>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(RowsAndScoreBits(a[i]), RowsAndScoreBits(b[i])) << i;
  }
}

TinyModel ModelOf(const std::vector<uint32_t>& widths) {
  TinyModelOptions options;
  options.num_users = 40;
  options.num_items = 5003;
  options.gmf_width = 8;
  options.tower_widths = widths;
  return MakeTinyModel(options);
}

// So the tensor cores of this GPU score as the error bound says.
TEST(GpuScorerTest, ScansTunedTowersInHalves) {
  for (const std::vector<uint32_t>& widths : std::vector<std::vector<uint32_t>>{
           {}, {32, 16, 8}, {64, 32, 16}, {128, 64}, {24, 12, 8}}) {
    const TinyModel tiny = ModelOf(widths);
    EXPECT_THAT(MakeGpuScorer(tiny)->name(), HasSubstr("float16 first pass"))
        << testing::PrintToString(widths);
  }
}

TEST(GpuScorerTest, AnswersAlikeOnManyThreads) {
  const TinyModel tiny = ModelOf({32, 16, 8});
  const std::unique_ptr<Scorer> scorer = MakeGpuScorer(tiny);
  const std::vector<Ranking> expected =
      RankAll(*MakeScorer(BackendCase{}, tiny), tiny);
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) ExpectSame(RankAll(*scorer, tiny), expected);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(GpuScorerTest, SaysHowMuchMemoryItTakes) {
  const TinyModel tiny = ModelOf({64, 32, 16});
  const auto before = FindCudaDevice(0);
  ASSERT_THAT(before, IsOk());
  const std::unique_ptr<Scorer> scorer = MakeGpuScorer(tiny);
  const auto after = FindCudaDevice(0);
  ASSERT_THAT(after, IsOk());
  EXPECT_GT(scorer->resident_bytes(), 0);
  // Kernels and the runtime's own blocks come in on top.
  constexpr uint64_t kAround = uint64_t{256} << 20;
  EXPECT_LE(
      before->free_bytes - after->free_bytes,
      CudaBytesNeeded(tiny.model.shape, tiny.model.network, {}) + kAround);
}

TEST(GpuScorerTest, RefusesAModelThatDoesNotFit) {
  TinyModel tiny = ModelOf({64, 32, 16});
  ModelShape shape = tiny.model.shape;
  shape.num_items = 2'000'000'000;
  EXPECT_THAT(MakeCudaScorerBuilder(shape, tiny.model.network, {}).status(),
              StatusIs(absl::StatusCode::kResourceExhausted));
  // And nothing is left broken.
  ExpectSame(RankAll(*MakeGpuScorer(tiny), tiny),
             RankAll(*MakeScorer(BackendCase{}, tiny), tiny));
}

TEST(GpuScorerTest, IsGivenUpByAResetAndMadeAnew) {
  const TinyModel tiny = ModelOf({32, 16, 8});
  std::unique_ptr<Scorer> before = MakeGpuScorer(tiny);
  NEUMF_ASSERT_OK(ResetCudaDevice(0));
  const std::vector<RankQuery> queries = QueriesOf(tiny);
  std::vector<Ranking> rankings(queries.size());
  EXPECT_THAT(before->Rank(queries, absl::MakeSpan(rankings)),
              StatusIs(absl::StatusCode::kUnavailable));
  const std::unique_ptr<Scorer> after = MakeGpuScorer(tiny);
  before.reset();  // its memory is gone already, and not the new one's
  ExpectSame(RankAll(*after, tiny),
             RankAll(*MakeScorer(BackendCase{}, tiny), tiny));
}

}  // namespace
}  // namespace neumf
