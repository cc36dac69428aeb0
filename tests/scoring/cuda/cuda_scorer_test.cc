// What only this backend has: passes, two forms of a model, lists that overflow,
// memory that is counted.

#include <atomic>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "tests/scoring/cuda/cuda_scorer_fixture.h"
#include "tests/scoring/random_queries.h"

namespace neumf::cuda {
namespace {

using testing::AllOf;
using testing::Each;
using testing::Eq;
using testing::Field;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;
using testing::Lt;
using testing::SizeIs;
using testing::StrEq;

constexpr char kCoarse[] = "cuda (emulated GPU, float16 first pass)";
constexpr char kFloat32[] = "cuda (emulated GPU, float32)";

template <typename Matcher>
auto Rescored(const Matcher& count) {
  return Field("rescored_count", &Ranking::rescored_count, count);
}

// More items than a list holds, so that a level is followed by others.
constexpr uint64_t kManyItems = 20001;

std::vector<float> AscendingScores() {
  std::vector<float> scores(kManyItems);
  for (size_t i = 0; i < scores.size(); ++i) scores[i] = static_cast<float>(i);
  return scores;
}

TEST_F(CudaScorerTest, SaysHowItScores) {
  for (const Widths& tower :
       {Widths{}, Widths{8, 8, 8}, Widths{32, 16, 8}, Widths{64, 32, 16},
        Widths{33, 5}, Widths{128, 64}}) {
    Use(Sized(100, 4, tower));
    EXPECT_THAT(scorer_->name(), StrEq(kCoarse)) << tower.size();
    ExpectSameAsReference(Queries(3, 10));
  }
  for (const Widths& tower : {Widths{129, 8}, Widths{8, 7, 6, 5}}) {
    Use(Sized(100, 4, tower));
    EXPECT_THAT(scorer_->name(), StrEq(kFloat32));
  }
  options_.coarse = false;
  Use(Sized(100, 4, {8, 4}));
  EXPECT_THAT(scorer_->name(), StrEq(kFloat32));
}

// The least that a GPU of sm_80 and up has.
class OldGpuTest : public CudaScorerTest {
 protected:
  OldGpuTest() : CudaScorerTest(OldGpu()) {}

  static GpuProperties OldGpu() {
    GpuProperties properties = Properties();
    properties.has_wide_mma = false;
    properties.max_shared_bytes = 99 * 1024;
    return properties;
  }
};

TEST_F(OldGpuTest, ScoresTheLargestTunedTower) {
  options_.max_users = 256;
  TinyModelOptions options = Sized(70, 64, {128, 64});
  options.num_users = 150;
  Use(options);
  EXPECT_THAT(scorer_->name(), StrEq(kCoarse));
  ExpectSameAsReference(Queries(150, 10));
}

TEST_F(OldGpuTest, ScansForFewUsersWhereMoreDoNotFit) {
  TinyModelOptions options = Sized(70, 2000, {});
  options.num_users = 30;
  Use(options);
  EXPECT_THAT(scorer_->name(), StrEq(kCoarse));
  ExpectSameAsReference(Queries(30, 5));
}

// Its numbers are too small for any bound that says something.
TEST_F(CudaScorerTest, ServesInFloat32WhatTheSelfCheckRefuses) {
  Use(Scaled(MakeTinyModel(Sized(300, 4, {8, 4})), 0x1p-140F));
  EXPECT_THAT(scorer_->name(), StrEq(kFloat32));
  ExpectSameAsReference(Queries(3, 10));
}

TEST_F(CudaScorerTest, AnswersCatalogsOfEverySize) {
  for (const uint64_t num_items : {1, 15, 16, 17, 255, 256, 257, 4097}) {
    SCOPED_TRACE(absl::StrCat(num_items, " items"));
    Use(Sized(num_items, 3, {9, 5}));
    for (const uint32_t k : {1U, 10U, static_cast<uint32_t>(num_items)}) {
      ExpectSameAsReference(Queries(3, k));
    }
  }
}

// Large enough for all scans that there are to be timed.
TEST_F(CudaScorerTest, AnswersAlikeWhicheverScanIsTheFastest) {
  Use(Sized(66'000, 2, {9, 5, 8}));
  EXPECT_THAT(scorer_->name(), StrEq(kCoarse));
  ExpectSameAsReference(Queries(2, 10));
}

TEST_F(CudaScorerTest, SplitsBatchesIntoPasses) {
  options_.max_users = 8;
  TinyModelOptions options = Sized(300, 3, {9, 5});
  options.num_users = 33;
  Use(options);
  for (const size_t num_users : {1, 7, 8, 9, 33, 257}) {
    SCOPED_TRACE(absl::StrCat(num_users, " users"));
    ExpectSameAsReference(Queries(num_users, 10));
  }
}

TEST_F(CudaScorerTest, SplitsBatchesOfSmallAndLargeK) {
  options_.max_users = 8;
  Use(Sized(5000, 3, {9, 5}));
  std::vector<RankQuery> queries = Queries(20, 10);
  queries[3].k = 0;
  queries[4].k = 5000;
  queries[5].k = 1025;
  queries[19].k = ~0U;
  ExpectSameAsReference(queries);
}

TEST_F(CudaScorerTest, ScoresFewItemsInFloat32) {
  Use(Sized(kManyItems, 4, {12, 8, 4}));
  EXPECT_THAT(Rank(Queries(3, 10)), Each(Rescored(AllOf(Ge(10), Lt(1000)))));
  ExpectSameAsReference(Queries(3, 10));
  options_.coarse = false;
  Use(Sized(kManyItems, 4, {12, 8, 4}));
  EXPECT_THAT(Rank(Queries(3, 10)), Each(Rescored(Eq(0))));
  ExpectSameAsReference(Queries(3, 10));
}

// All candidates tie, so that no threshold keeps them out of the lists.
TEST_F(CudaScorerTest, RanksTiesThatNoListHolds) {
  for (const bool coarse : {true, false}) {
    options_.coarse = coarse;
    Use(ConstantModel(kManyItems));
    ExpectSameAsReference(Queries(9, 10));
    ExpectSameAsReference(Queries(2, 3000));
    EXPECT_THAT(Rank(Queries(2, 10)),
                Each(Rescored(Eq(coarse ? kManyItems : 0))));
  }
}

TEST_F(CudaScorerTest, RanksScoresThatAscendWithTheRow) {
  for (const bool coarse : {true, false}) {
    options_.coarse = coarse;
    Use(ModelWithScores(AscendingScores()));
    for (const uint32_t k : {1, 100, 3000, 20001}) {
      ExpectSameAsReference(Queries(2, k));
    }
  }
}

// Their numbers do not go into halves; nobody beside them is harmed.
TEST_F(CudaScorerTest, RanksUsersWithoutABoundInFloat32) {
  TinyModelOptions options = Sized(1000, 3, {12, 8});
  options.num_users = 20;
  TinyModel tiny = MakeTinyModel(options);
  tiny.model.users.tower.row(1)[2] = 1e30F;
  tiny.model.users.tower.row(4)[2] = -1e38F;
  for (uint32_t user = 6; user < 17; ++user) {
    tiny.model.users.gmf.row(user)[0] = 3e35F;
  }
  Use(std::move(tiny));
  ExpectSameAsReference(Queries(20, 10));
  const std::vector<Ranking> rankings = Rank(Queries(20, 10));
  for (const size_t bounded : {0, 2, 3, 5, 17, 18, 19}) {
    EXPECT_THAT(rankings[bounded], Rescored(Lt(1000))) << bounded;
  }
  for (const size_t unbounded : {1, 6, 11, 16}) {
    EXPECT_THAT(rankings[unbounded], Rescored(Eq(1000))) << unbounded;
  }
}

TEST_F(CudaScorerTest, AnswersMoreItemsThanItsMemoryWasMadeFor) {
  options_.max_users = 1;
  Use(Sized(kManyItems, 3, {9, 5}));
  for (const uint32_t k : {10U, 8193U, 20001U, 20002U, 10U}) {
    ExpectSameAsReference(Queries(2, k));
  }
}

TEST_F(CudaScorerTest, TakesMoreRowsThanItsMemoryWasMadeFor) {
  Use(Sized(7001, 3, {9, 5}));
  std::vector<uint32_t> odd;
  for (uint32_t row = 1; row < 7001; row += 2) odd.push_back(row);
  std::vector<RankQuery> queries = Queries(16, 10);
  for (RankQuery& query : queries) query.seen = odd;
  for (size_t b = 0; b < queries.size(); b += 2) queries[b].allow_rows = odd;
  ExpectSameAsReference(Queries(3, 10));
  ExpectSameAsReference(queries);
  ExpectSameAsReference(Queries(3, 10));
}

TEST_F(CudaScorerTest, TakesListsLongerThanALevel) {
  Use(Sized(kManyItems, 3, {9, 5}));
  std::vector<uint32_t> rows;
  for (uint32_t row = 0; row < kManyItems - 3; ++row) rows.push_back(row);
  std::vector<RankQuery> queries = Queries(3, 10);
  queries[0].allow_rows = rows;
  queries[1].allow_rows = absl::MakeSpan(rows).subspan(17, 16384);
  ExpectSameAsReference(queries);
}

TEST_F(CudaScorerTest, AnswersTowersThatNoSharedMemoryHolds) {
  for (const Widths& tower : {Widths{700, 9}, Widths{300, 200, 100, 10}}) {
    TinyModelOptions options = Sized(300, 3, tower);
    Use(options);
    EXPECT_THAT(scorer_->name(), StrEq(kFloat32));
    ExpectSameAsReference(Queries(9, 10));
  }
}

// Weights and users take more of it than there is for many users at once.
TEST_F(CudaScorerTest, TakesAsManyUsersAsSharedMemoryHolds) {
  options_.max_users = 256;
  TinyModelOptions options = Sized(70, 700, {});
  options.num_users = 200;
  Use(options);
  EXPECT_THAT(scorer_->name(), StrEq(kCoarse));
  ExpectSameAsReference(Queries(200, 5));
}

TEST_F(CudaScorerTest, LooksForCancellationBeforeEachPass) {
  options_.max_users = 8;
  Use(Sized(300, 3, {9, 5}));
  const std::atomic<bool> cancelled{true};
  std::vector<RankQuery> queries = Queries(24, 10);
  for (size_t b = 8; b < 16; ++b) queries[b].cancelled = &cancelled;
  queries[17].cancelled = &cancelled;
  const uint64_t before = gpu_.num_launches();
  const std::vector<Ranking> rankings = Rank(queries);
  const uint64_t launches = gpu_.num_launches() - before;
  for (size_t b = 0; b < 24; ++b) {
    EXPECT_EQ(rankings[b].cancelled, queries[b].cancelled != nullptr);
    EXPECT_THAT(rankings[b].items,
                SizeIs(queries[b].cancelled != nullptr ? 0 : 10));
  }
  // The pass that nobody waits for is not begun.
  Rank(Queries(16, 10));
  EXPECT_EQ(gpu_.num_launches() - before, 2 * launches);
}

TEST_F(CudaScorerTest, AllocatesNothingOnceItsMemoryIsThere) {
  options_.num_streams = 1;
  Use(Sized(700, 3, {9, 5}));
  const RandomQueries mixed(tiny_, 20, 7);
  const std::vector<RankQuery>& all = mixed.queries();
  const auto rank_all = [&] {
    for (const size_t count : {20, 1, 7}) {
      Rank({all.begin(), all.begin() + count});
    }
  };
  rank_all();
  const uint64_t allocations = gpu_.num_allocations();
  const uint64_t before = gpu_.num_commands();
  rank_all();
  const uint64_t commands = gpu_.num_commands() - before;
  rank_all();
  EXPECT_EQ(gpu_.num_allocations(), allocations);
  // No graph is recorded again either.
  EXPECT_EQ(gpu_.num_commands() - before, 2 * commands);
}

TEST_F(CudaScorerTest, TakesTheMemoryThatItSays) {
  uint64_t most = 0;
  for (const uint64_t num_items : {17, 20001}) {
    for (const Widths& tower : {Widths{}, Widths{32, 16, 8}, Widths{700, 9}}) {
      scorer_.reset();
      Use(Sized(num_items, 5, tower));
      const uint64_t needed =
          CudaBytesNeeded(tiny_.model.shape, tiny_.model.network, options_);
      const uint64_t taken = gpu_.live_bytes(Memory::Place::kDevice);
      EXPECT_LE(taken, needed);
      EXPECT_GE(taken, needed * 97 / 100);
      // Nor more while it is built.
      most = std::max(most, needed);
      EXPECT_LE(gpu_.peak_bytes(Memory::Place::kDevice), most);
    }
  }
}

TEST_F(CudaScorerTest, CountsTablesAndWeightsAsResident) {
  options_.coarse = false;
  Use(Sized(1000, 5, {16, 8}));
  const uint64_t exact = scorer_->resident_bytes();
  EXPECT_THAT(exact,
              AllOf(Ge(1000 * (5 + 16 + 1) * 4), Le(1000 * 22 * 4 + 4000)));
  options_.coarse = true;
  Use(Sized(1000, 5, {16, 8}));
  EXPECT_GE(scorer_->resident_bytes(), exact + 1000 * (8 + 16) * 2);
}

TEST_F(CudaScorerTest, RefusesActivationsOfWhichItHasNotTheBits) {
  TinyModelOptions options = Sized(100, 4, {8, 4});
  for (const Activation activation :
       {Activation::kTanh, Activation::kSigmoid}) {
    options.activation = activation;
    EXPECT_THAT(TryBuild(MakeTinyModel(options)),
                StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("ReLU")));
  }
  options.tower_widths = {};
  Use(options);
  ExpectSameAsReference(Queries(3, 10));
}

TEST_F(CudaScorerTest, TellsWhichDeviceThereIs) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const CudaDeviceInfo info, FindCudaDevice(0));
  EXPECT_EQ(info.name, "emulated GPU");
  EXPECT_EQ(info.total_bytes, Properties().total_bytes);
  EXPECT_EQ(info.free_bytes, info.total_bytes);
  EXPECT_THAT(FindCudaDevice(1), StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace neumf::cuda
