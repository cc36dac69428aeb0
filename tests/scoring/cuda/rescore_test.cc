#include "scoring/cuda/kernels/rescore.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/scoring/cuda/emulated_pass.h"
#include "tests/scoring/cuda/kernel_test.h"
#include "tests/scoring/cuda/reference_answers.h"
#include "tests/scoring/cuda/tiny_exact_model.h"
#include "tests/scoring/scorer_models.h"
#include "tests/support/tiny_query.h"

namespace neumf::cuda {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

class RescoreTest : public KernelTest {
 protected:
  // `parts` blocks a user, their scratch in shared memory.
  void RunRescore(const TinyExactModel& exact, const EmulatedPass& pass,
                  uint32_t parts, bool lists_only = false) const {
    Rescore rescore{exact.model(), pass.pass(), {}};
    rescore.parts = parts;
    rescore.lists_only = lists_only;
    Run(rescore, pass.pass().max_users * parts,
        ExactScratch::SharedBytes<Rescore::kThreads>(exact.model()));
  }

  // Every item for every user, by the kernel and by the reference.
  void ExpectTheReferencesBits(const TinyModel& tiny) const {
    const auto num_items = static_cast<uint32_t>(tiny.model.shape.num_items);
    std::vector<RankQuery> queries;
    std::vector<ScoredRow> candidates;
    for (uint32_t user = 0; user < tiny.model.shape.num_users; ++user) {
      queries.push_back(QueryOf(tiny, user, num_items));
      queries.back().seen = {};
    }
    for (uint32_t row = 0; row < num_items; ++row) {
      candidates.push_back({3, row});
    }
    const std::vector<Ranking> expected = ReferenceAnswers(tiny, queries);
    TinyExactModel exact(tiny);
    for (bool in_shared : {true, false}) {
      EmulatedPass pass(queries, tiny.model.shape, num_items);
      Rescore rescore{exact.model(), pass.pass(), {}};
      rescore.parts = 2;
      const uint32_t blocks = pass.pass().max_users * rescore.parts;
      uint32_t shared_bytes = 0;
      if (in_shared) {
        shared_bytes =
            ExactScratch::SharedBytes<Rescore::kThreads>(exact.model());
      } else {
        rescore.scratch = exact.DeviceScratch<Rescore>(blocks);
      }
      for (uint32_t user = 0; user < queries.size(); ++user) {
        pass.Push(user, candidates);
      }
      Run(rescore, blocks, shared_bytes);
      for (uint32_t user = 0; user < queries.size(); ++user) {
        ASSERT_EQ(RowsAndBits(pass.Candidates(user)),
                  RowsAndBits(expected[user].items))
            << "user " << user << (in_shared ? ", shared" : ", device");
      }
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Orders, RescoreTest, AllOrders(), OrderName);

TEST_P(RescoreTest, HasTheReferencesBitsInEveryShape) {
  const std::vector<Widths> towers = {{},
                                      {1},
                                      {7},
                                      {8},
                                      {16},
                                      {64},
                                      {1, 1},
                                      {7, 9},
                                      {8, 16},
                                      {16, 8},
                                      {64, 31},
                                      {64, 32, 16},
                                      {7, 1, 5},
                                      {3, 17, 8},
                                      {32, 16, 8, 4},
                                      {5, 40, 2, 33}};
  for (const Widths& tower : towers) {
    for (uint32_t gmf_width : {0, 1, 7, 8, 16, 64}) {
      if (tower.empty() && gmf_width == 0) continue;
      SCOPED_TRACE(testing::Message()
                   << "tower " << testing::PrintToString(tower) << ", gmf "
                   << gmf_width);
      TinyModelOptions options = Sized(131, gmf_width, tower);
      options.num_users = 2;
      options.item_bias = (gmf_width + tower.size()) % 2 == 0;
      options.seed = gmf_width + 1;
      ExpectTheReferencesBits(MakeTinyModel(options));
    }
  }
}

// Infinite activations times padding would be NaN.
TEST_P(RescoreTest, HasTheReferencesBitsWhereActivationsAreInfinite) {
  TinyModel tiny = MakeTinyModel(Sized(40, 2, {3, 5, 3}));
  for (size_t i = 0; i < tiny.items.tower.size(); i += 7) {
    tiny.items.tower.data()[i] = i % 2 == 0 ? kInfinity : 3e38F;
  }
  ExpectTheReferencesBits(tiny);
}

TEST_P(RescoreTest, MinusZeroIsZero) {
  const TinyModel tiny = ModelWithScores({-0.0F, 1, -1, 0});
  ExpectTheReferencesBits(tiny);
}

TEST_P(RescoreTest, AScoreThatIsNoNumberIsNoCandidate) {
  const TinyModel tiny = ModelWithScores({1, kNaN, kInfinity, -kInfinity});
  EmulatedPass pass({QueryOf(tiny, 0, 4)}, tiny.model.shape, 8);
  pass.Push(0, {{9, 0}, {9, 1}, {9, 2}, {9, 3}});
  RunRescore(TinyExactModel(tiny), pass, 1);
  EXPECT_EQ(pass.pass().candidates[1], 0);
  EXPECT_EQ(ScoreOfKey(pass.pass().candidates[2]), kInfinity);
  EXPECT_EQ(ScoreOfKey(pass.pass().candidates[3]), -kInfinity);
}

TEST_P(RescoreTest, ScoresTheEligibleRowsOfAList) {
  const TinyModel tiny = MakeTinyModel(Sized(700, 4, {8, 4}));
  const std::vector<uint32_t> seen = {0, 5, 400, 699};
  const std::vector<uint32_t> excluded = {1, 6, 401};
  ItemMask mask(700);
  for (uint32_t row = 0; row < 700; row += 2) mask.Set(row);
  std::vector<uint32_t> rows;
  for (uint32_t row = 0; row < 700; ++row) {
    if (row % 5 != 2) rows.push_back(row);
  }
  RankQuery query = QueryOf(tiny, 1, 700);
  query.seen = seen;
  query.excluded = excluded;
  query.allow_rows = absl::MakeConstSpan(rows);
  RankQuery masked = query;
  masked.allow_mask = &mask;
  RankQuery none = query;
  none.seen = rows;
  const std::vector<RankQuery> queries = {query, masked, none};
  const std::vector<Ranking> expected = ReferenceAnswers(tiny, queries);
  const TinyExactModel exact(tiny);
  for (uint32_t parts : {1, 3, 8}) {
    EmulatedPass pass(queries, tiny.model.shape,
                      static_cast<uint32_t>(rows.size()));
    pass.count(0) = 123;  // of a pass before
    RunRescore(exact, pass, parts, /*lists_only=*/parts == 3);
    for (uint32_t user = 0; user < queries.size(); ++user) {
      ASSERT_EQ(pass.count(user), rows.size());
      std::vector<ScoredRow> candidates;
      for (uint32_t i = 0; i < rows.size(); ++i) {
        const uint64_t key = pass.pass().candidates[user * rows.size() + i];
        if (key != 0) candidates.push_back({ScoreOfKey(key), RowOfKey(key)});
      }
      std::sort(candidates.begin(), candidates.end());
      EXPECT_EQ(RowsAndBits(candidates), RowsAndBits(expected[user].items));
    }
  }
}

TEST_P(RescoreTest, LeavesAloneWhatNeedsNoScore) {
  const TinyModel tiny = ModelWithScores({1, 2, 3, 4, 5});
  const RankQuery query = QueryOf(tiny, 0, 1);
  const RankQuery idle = QueryOf(tiny, 0, 0);
  const std::vector<ScoredRow> candidates = {{9, 0}, {8, 1}};
  EmulatedPass pass({query, query, idle, query, query}, tiny.model.shape, 2);
  for (uint32_t user = 0; user < 6; ++user) pass.Push(user, candidates);
  pass.outcome(0) = Outcome::kUnbounded;
  pass.outcome(1) = Outcome::kOverflow;
  pass.Push(4, {{7, 2}});  // which is lost
  RunRescore(TinyExactModel(tiny), pass, 1, /*lists_only=*/true);
  EXPECT_EQ(pass.Candidates(3), candidates);
  RunRescore(TinyExactModel(tiny), pass, 1);
  EXPECT_THAT(pass.Candidates(3),
              testing::ElementsAre(ScoredRow{2, 1}, ScoredRow{1, 0}));
  for (uint32_t user : {0, 1, 2, 4, 5}) {
    EXPECT_EQ(pass.Candidates(user), candidates);
  }
}

}  // namespace
}  // namespace neumf::cuda
