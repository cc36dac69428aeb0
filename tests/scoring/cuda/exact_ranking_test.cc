// Whole answers in float32, by the kernels that scan and by those that rank by
// radix, against the reference.

#include <algorithm>
#include <limits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "scoring/cuda/kernels/finish.h"
#include "scoring/cuda/kernels/radix_rank.h"
#include "scoring/cuda/kernels/rescore.h"
#include "scoring/cuda/kernels/scan_exact.h"
#include "scoring/cuda/kernels/select_level.h"
#include "tests/scoring/cuda/emulated_pass.h"
#include "tests/scoring/cuda/kernel_test.h"
#include "tests/scoring/cuda/reference_answers.h"
#include "tests/scoring/cuda/tiny_exact_model.h"
#include "tests/scoring/random_queries.h"
#include "tests/scoring/scorer_models.h"
#include "tests/support/tiny_query.h"

namespace neumf::cuda {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

class ExactRankingTest : public KernelTest {
 protected:
  // A pass as a model without a tuned tower has it, on `blocks` blocks.
  void Scan(const TinyExactModel& exact, const EmulatedPass& pass,
            uint32_t blocks) const {
    const ExactModel& model = exact.model();
    const uint32_t max_users = pass.pass().max_users;
    Run(StartExact{pass.pass()}, 1, 0);
    const Levels levels =
        MakeLevels((model.num_items + kChunkItems - 1) / kChunkItems, 1);
    for (uint32_t l = 0; l < levels.count; ++l) {
      Run(ScanExact{model, pass.pass(), levels.level[l], {}}, blocks,
          ExactScratch::SharedBytes<ScanExact::kThreads>(model));
      Run(SelectLevel{pass.pass()}, max_users, SelectLevel::SharedBytes());
    }
    Rescore rescore{model, pass.pass(), {}};
    rescore.lists_only = true;
    Run(rescore, max_users,
        ExactScratch::SharedBytes<Rescore::kThreads>(model));
    Run(Finish{pass.pass(), false}, max_users, Finish::SharedBytes());
  }

  void RankByRadix(const TinyExactModel& exact, const EmulatedPass& pass,
                   const std::vector<uint32_t>& listed) {
    const ExactModel& model = exact.model();
    RadixUsers users;
    for (uint32_t user : listed) users.user[users.count++] = user;
    const RadixMemory memory = {states_.data(), histogram_.data()};
    const uint32_t scratch_bytes =
        ExactScratch::SharedBytes<RadixHistogram::kThreads>(model);
    for (uint32_t round = 0; round < kRadixRounds; ++round) {
      Run(RadixHistogram{model, pass.pass(), {}, users, memory, round}, 3,
          scratch_bytes);
      Run(RadixStep{pass.pass(), users, memory, round}, users.count,
          RadixStep::SharedBytes());
    }
    Run(RadixCollect{model, pass.pass(), {}, users, memory}, 5, scratch_bytes);
    Run(FinishAgain{pass.pass(), users}, users.count,
        FinishAgain::SharedBytes());
    EXPECT_EQ(std::count(histogram_.begin(), histogram_.end(), 0U),
              histogram_.size());
  }

  // Of all `queries`, up to eight at a time.
  void ExpectRadixIsExact(const TinyModel& tiny,
                          const std::vector<RankQuery>& queries,
                          uint32_t capacity) {
    const TinyExactModel exact(tiny);
    const std::vector<Ranking> expected = ReferenceAnswers(tiny, queries);
    EmulatedPass pass(queries, tiny.model.shape, capacity);
    std::vector<uint32_t> listed;
    for (uint32_t user = 0; user < queries.size(); ++user) {
      if (pass.pass().queries()[user].kind != QueryKind::kScan) continue;
      pass.outcome(user) =
          user % 2 == 0 ? Outcome::kOverflow : Outcome::kUnbounded;
      pass.threshold(user) = kInfinity;
      pass.count(user) = capacity + user;
      listed.push_back(user);
      if (listed.size() < kRadixUsers) continue;
      RankByRadix(exact, pass, listed);
      listed.clear();
    }
    RankByRadix(exact, pass, listed);
    for (uint32_t user = 0; user < queries.size(); ++user) {
      SCOPED_TRACE(testing::Message()
                   << "query " << user << ", k " << queries[user].k);
      ASSERT_EQ(pass.result(user).outcome, Outcome::kReady);
      // No more than the answer was collected.
      ASSERT_EQ(pass.count(user), expected[user].items.size());
      ASSERT_EQ(RowsAndBits(pass.Answer(user)),
                RowsAndBits(expected[user].items));
    }
  }

 private:
  std::vector<RadixState> states_ = std::vector<RadixState>(kRadixUsers);
  std::vector<uint32_t> histogram_ =
      std::vector<uint32_t>(size_t{kRadixUsers} * kRadixDigits, 0);
};

INSTANTIATE_TEST_SUITE_P(Orders, ExactRankingTest, AllOrders(), OrderName);

TEST_P(ExactRankingTest, ScanAnswersQueriesOfEveryKindAsTheReference) {
  for (uint32_t num_items : {1, 15, 255, 256, 257, 5000}) {
    const TinyModel tiny = MakeTinyModel(Sized(num_items, 3, {9, 5}));
    const RandomQueries random(tiny, 20, num_items);
    const std::vector<RankQuery>& queries = random.queries();
    const std::vector<Ranking> expected = ReferenceAnswers(tiny, queries);
    const TinyExactModel exact(tiny);
    for (uint32_t blocks : {1, 7, 64}) {
      SCOPED_TRACE(testing::Message()
                   << num_items << " items, " << blocks << " blocks");
      EmulatedPass pass(queries, tiny.model.shape, 4 * num_items);
      Scan(exact, pass, blocks);
      for (uint32_t user = 0; user < queries.size(); ++user) {
        ASSERT_EQ(pass.result(user).outcome, Outcome::kReady);
        ASSERT_EQ(RowsAndBits(pass.Answer(user)),
                  RowsAndBits(expected[user].items))
            << "query " << user << ", k " << queries[user].k;
      }
    }
  }
}

TEST_P(ExactRankingTest, ScanKeepsInfiniteScoresAndDropsNaN) {
  std::vector<float> scores(2000, 1);
  for (size_t i = 0; i < scores.size(); i += 3) scores[i] = kInfinity;
  for (size_t i = 0; i < scores.size(); i += 5) scores[i] = kNaN;
  const TinyModel tiny = ModelWithScores(scores);
  const std::vector<RankQuery> queries = {QueryOf(tiny, 0, 1),
                                          QueryOf(tiny, 0, 500)};
  const std::vector<Ranking> expected = ReferenceAnswers(tiny, queries);
  EmulatedPass pass(queries, tiny.model.shape, 2000);
  Scan(TinyExactModel(tiny), pass, 3);
  for (uint32_t user : {0, 1}) {
    EXPECT_EQ(RowsAndBits(pass.Answer(user)),
              RowsAndBits(expected[user].items));
  }
}

TEST_P(ExactRankingTest, ScanTellsOfTiesThatDoNotFit) {
  const TinyModel tiny = ConstantModel(3000);
  const std::vector<uint32_t> rows = {3, 4, 5};
  RankQuery list = QueryOf(tiny, 0, 2);
  list.allow_rows = absl::MakeConstSpan(rows);
  const std::vector<RankQuery> queries = {QueryOf(tiny, 0, 10), list};
  EmulatedPass pass(queries, tiny.model.shape, 1000);
  const TinyExactModel exact(tiny);
  Scan(exact, pass, 4);
  EXPECT_EQ(pass.result(0).outcome, Outcome::kOverflow);
  EXPECT_EQ(pass.result(0).count, 0);
  const std::vector<ScoredRow> of_list = pass.Answer(1);
  EXPECT_EQ(of_list.size(), 2);

  // Ranked again, the other's answer stays.
  RankByRadix(exact, pass, {0});
  const std::vector<Ranking> expected = ReferenceAnswers(tiny, queries);
  EXPECT_EQ(RowsAndBits(pass.Answer(0)), RowsAndBits(expected[0].items));
  EXPECT_EQ(RowsAndBits(pass.Answer(1)), RowsAndBits(of_list));
}

TEST_P(ExactRankingTest, RadixAnswersQueriesOfEveryKindAsTheReference) {
  for (uint32_t num_items : {1, 100, 257, 2000}) {
    const TinyModel tiny = MakeTinyModel(Sized(num_items, 3, {9, 5}));
    const RandomQueries random(tiny, 12, num_items + 1);
    std::vector<RankQuery> queries = random.queries();
    for (RankQuery& query : queries) query.allow_rows.reset();
    ExpectRadixIsExact(tiny, queries, 4 * num_items);
  }
}

TEST_P(ExactRankingTest, RadixOrdersTiesByRow) {
  const TinyModel tiny = ConstantModel(1000);
  std::vector<RankQuery> queries;
  for (uint32_t k : {1, 2, 255, 256, 257, 999, 1000}) {
    queries.push_back(QueryOf(tiny, 0, k));
  }
  ExpectRadixIsExact(tiny, queries, 4000);
}

TEST_P(ExactRankingTest, RadixPartsScoresThatDifferInTheirLastBits) {
  std::vector<float> scores;
  for (uint32_t i = 0; i < 600; ++i) {
    scores.push_back(i % 10 == 0 ? kNaN
                                 : 1 + 1.2e-7F * static_cast<float>(i % 4));
  }
  scores[7] = kInfinity;
  scores[8] = -kInfinity;
  scores[9] = -0.0F;
  const TinyModel tiny = ModelWithScores(scores);
  std::vector<RankQuery> queries;
  for (uint32_t k : {1, 3, 150, 300, 540, 600}) {
    queries.push_back(QueryOf(tiny, 0, k));
  }
  ExpectRadixIsExact(tiny, queries, 2400);
}

TEST_P(ExactRankingTest, RadixAnswersWithNothingWhenAllIsSeen) {
  const TinyModel tiny = ConstantModel(300);
  std::vector<uint32_t> all;
  for (uint32_t row = 0; row < 300; ++row) all.push_back(row);
  RankQuery none = QueryOf(tiny, 0, 5);
  none.seen = all;
  RankQuery one = none;
  one.seen = absl::MakeConstSpan(all).subspan(1);
  ExpectRadixIsExact(tiny, {none, one}, 40);
}

}  // namespace
}  // namespace neumf::cuda
