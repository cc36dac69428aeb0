// An answer does not depend on what is answered beside it, nor on the threads.

#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/scoring/random_queries.h"
#include "tests/scoring/scorer_fixture.h"

namespace neumf {
namespace {

class ScorerBatchTest : public ScorerTest {
 protected:
  // Enough items that threads share the catalog.
  void UseUsers(uint64_t num_users, const Widths& tower = {16, 8}) {
    TinyModelOptions options = Sized(2003, 8, tower);
    options.num_users = num_users;
    Use(options);
  }
};

// Without a tower users can be scored together, with one often apart.
const Widths kTowers[] = {{16, 8}, {}};

INSTANTIATE_TEST_SUITE_P(Backends, ScorerBatchTest,
                         testing::ValuesIn(AllBackends()), BackendCaseName);

TEST_P(ScorerBatchTest, AnswersAloneAsInABatch) {
  for (const Widths& tower : kTowers) {
    UseUsers(33, tower);
    const std::vector<RankQuery> all = QueriesOfAll(50);
    const std::vector<Ranking> together = RankBatch(all);
    for (size_t b = 0; b < all.size(); ++b) {
      EXPECT_EQ(RowsAndScoreBits(together[b]), RowsAndScoreBits(Rank(all[b])));
    }
  }
}

TEST_P(ScorerBatchTest, AnswersBatchesOfEverySize) {
  for (const Widths& tower : kTowers) {
    TinyModelOptions options = Sized(179, 5, tower);
    options.num_users = GetParam().is_slow ? 19 : 65;
    Use(options);
    std::vector<RankQuery> queries = QueriesOfAll(10);
    for (; !queries.empty(); queries.pop_back()) {
      SCOPED_TRACE(absl::StrCat(queries.size(), " queries"));
      ExpectSameAsReference(queries);
    }
  }
}

// The reference answers one query after the other, on one thread.
TEST_P(ScorerBatchTest, AnswersBatchesOfMixedQueries) {
  for (const Widths& tower : kTowers) {
    UseUsers(33, tower);
    for (size_t num_queries : {1, 2, 3, 7, 33, 70}) {
      for (uint64_t seed = 1; seed <= Rounds(2); ++seed) {
        SCOPED_TRACE(absl::StrCat(num_queries, " queries, seed ", seed));
        const RandomQueries mixed(tiny_, num_queries, seed);
        ExpectSameAsReference(mixed.queries());
      }
    }
  }
}

TEST_P(ScorerBatchTest, AnswersTheSameUserManyTimes) {
  UseUsers(1);
  const std::vector<RankQuery> same(33, QueryOf(0, 20));
  ExpectSameAsReference(same);
}

TEST_P(ScorerBatchTest, ForgetsEarlierAnswersInReusedRankings) {
  UseUsers(3);
  std::vector<Ranking> rankings = RankBatch({QueryOf(0, 50)});
  const std::vector<RankQuery> query = {QueryOf(1, 2)};
  NEUMF_ASSERT_OK(scorer_->Rank(query, absl::MakeSpan(rankings)));
  EXPECT_EQ(RowsAndScoreBits(rankings[0]), RowsAndScoreBits(Rank(query[0])));
}

// Memory that calls reuse must not carry anything from one to the next.
TEST_P(ScorerBatchTest, AnswersBatchesOfAnySizeInAnyOrder) {
  UseUsers(33);
  const RandomQueries mixed(tiny_, 33, 7);
  for (size_t num_queries : {2, 33, 1, 7, 32, 3}) {
    const auto begin = mixed.queries().begin();
    ExpectSameAsReference({begin, begin + num_queries});
  }
}

TEST_P(ScorerBatchTest, AnswersAnEmptyBatch) {
  UseUsers(3);
  NEUMF_EXPECT_OK(scorer_->Rank({}, {}));
}

TEST_P(ScorerBatchTest, SaysWhichQueriesWereCancelled) {
  const std::atomic<bool> cancelled{true};
  const std::vector<uint32_t> rows = {3, 4};
  for (const Widths& tower : kTowers) {
    UseUsers(3, tower);
    std::vector<RankQuery> queries = QueriesOfAll(5);
    const Ranking expected = Rank(queries[1]);
    queries[0].cancelled = &cancelled;
    queries[2].cancelled = &cancelled;
    queries[2].allow_rows = rows;
    const std::vector<Ranking> rankings = RankBatch(queries);
    EXPECT_TRUE(rankings[0].cancelled);
    EXPECT_FALSE(rankings[1].cancelled);
    EXPECT_TRUE(rankings[2].cancelled);
    EXPECT_EQ(RowsAndScoreBits(rankings[1]), RowsAndScoreBits(expected));
    // The next batch has nothing of it.
    ExpectSameAsReference(QueriesOfAll(5));
  }
}

TEST_P(ScorerBatchTest, AnswersManyCallersAtOnce) {
  UseUsers(4);
  const std::vector<RankQuery> queries = QueriesOfAll(20);
  std::vector<std::thread> callers;
  std::vector<std::vector<Ranking>> answers(queries.size());
  for (size_t b = 0; b < queries.size(); ++b) {
    callers.emplace_back([&, b] {
      for (int i = 0; i < 5; ++i) answers[b] = RankBatch({queries[b]});
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (size_t b = 0; b < queries.size(); ++b) {
    EXPECT_EQ(RowsAndScoreBits(answers[b][0]),
              RowsAndScoreBits(Rank(queries[b])));
  }
}

}  // namespace
}  // namespace neumf
