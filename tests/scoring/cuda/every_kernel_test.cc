// Few and small tests that between them start every kernel of the scorer: what
// compute-sanitizer has the time for on a GPU, and here the emulator.

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "scoring/cuda/cuda_scorer.h"
#include "tests/scoring/random_queries.h"
#include "tests/scoring/scorer_fixture.h"

namespace neumf {
namespace {

// More items than a list of candidates holds.
constexpr uint32_t kManyItems = 20001;

class EveryKernelTest : public testing::Test {
 protected:
  void Use(TinyModel tiny, bool coarse = true) {
    tiny_ = std::move(tiny);
    BackendCase backend;
    backend.make_builder = [coarse](const ModelShape& shape,
                                    const ScoreNetwork& network,
                                    const FirstPassOptions& /*first_pass*/) {
      CudaScorerOptions options;
      options.max_users = 16;
      options.coarse = coarse;
      return MakeCudaScorerBuilder(shape, network, options);
    };
    scorer_ = MakeScorer(backend, tiny_);
    reference_ = MakeScorer(BackendCase{}, tiny_);
  }

  void ExpectSameAsReference(const std::vector<RankQuery>& queries) const {
    std::vector<Ranking> actual(queries.size());
    std::vector<Ranking> expected(queries.size());
    NEUMF_ASSERT_OK(scorer_->Rank(queries, absl::MakeSpan(actual)));
    NEUMF_ASSERT_OK(reference_->Rank(queries, absl::MakeSpan(expected)));
    for (size_t b = 0; b < queries.size(); ++b) {
      EXPECT_EQ(RowsAndScoreBits(actual[b]), RowsAndScoreBits(expected[b]))
          << b;
    }
  }

  TinyModel tiny_;
  std::unique_ptr<Scorer> scorer_;
  std::unique_ptr<Scorer> reference_;
};

// Of so many items all scans of a tower are checked and timed.
TEST_F(EveryKernelTest, AnswersAfterTryingAllScansOfATower) {
  for (const Widths& tower :
       {Widths{9, 8, 7}, Widths{40, 20, 12}, Widths{100, 33}}) {
    SCOPED_TRACE(absl::StrCat(tower.front(), " units"));
    Use(MakeTinyModel(Sized(66'000, 1, tower)));
    ExpectSameAsReference({QueryOf(tiny_, 0, 10)});
  }
}

// Of each tuned tower; the last has none.
TEST_F(EveryKernelTest, AnswersMixedQueriesOfEveryTower) {
  for (const Widths& tower : {Widths{}, Widths{9, 8, 7}, Widths{40, 20, 12},
                              Widths{100, 33}, Widths{8, 7, 6, 5}}) {
    SCOPED_TRACE(absl::StrCat(tower.size(), " layers"));
    Use(MakeTinyModel(Sized(1003, 5, tower)));
    ExpectSameAsReference(RandomQueries(tiny_, 11, 1).queries());
  }
}

TEST_F(EveryKernelTest, RanksTiesThatNoListHolds) {
  for (const bool coarse : {true, false}) {
    Use(ConstantModel(kManyItems), coarse);
    ExpectSameAsReference({QueryOf(tiny_, 0, 10), QueryOf(tiny_, 1, 10)});
    ExpectSameAsReference({QueryOf(tiny_, 2, 3000)});  // whose list is longer
  }
}

TEST_F(EveryKernelTest, RanksAUserWithoutABound) {
  TinyModel tiny = MakeTinyModel(Sized(1003, 3, {12, 8}));
  tiny.model.users.tower.row(1)[2] = 1e30F;
  Use(std::move(tiny));
  ExpectSameAsReference({QueryOf(tiny_, 0, 10), QueryOf(tiny_, 1, 10)});
}

TEST_F(EveryKernelTest, TakesAListOfMoreRowsThanALevel) {
  Use(MakeTinyModel(Sized(kManyItems, 3, {9, 5})));
  const std::vector<uint32_t> rows = RowsBelow(kManyItems - 3);
  RankQuery query = QueryOf(tiny_, 0, 10);
  query.allow_rows = rows;
  ExpectSameAsReference({query, QueryOf(tiny_, 1, 10)});
}

}  // namespace
}  // namespace neumf
