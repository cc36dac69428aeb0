#include "scoring/cuda/kernels/finish.h"

#include <algorithm>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/scoring/cuda/emulated_pass.h"
#include "tests/scoring/cuda/kernel_test.h"
#include "tests/scoring/scorer_models.h"
#include "tests/support/tiny_query.h"

namespace neumf::cuda {
namespace {

constexpr uint32_t kItems = 30000;

class FinishTest : public KernelTest {
 protected:
  RankQuery QueryFor(uint32_t k) const { return QueryOf(tiny_, 0, k); }

  void RunFinish(const EmulatedPass& pass, bool rescored = false) const {
    Run(Finish{pass.pass(), rescored}, pass.pass().max_users,
        Finish::SharedBytes());
  }

  // Many ties.
  static std::vector<ScoredRow> RandomCandidates(uint32_t count) {
    std::mt19937 random(count);
    std::vector<ScoredRow> candidates;
    for (uint32_t i = 0; i < count; ++i) {
      const auto score = static_cast<float>(random() % 1000) - 500;
      candidates.push_back({score / 64, 2 * i});
    }
    std::shuffle(candidates.begin(), candidates.end(), random);
    return candidates;
  }

  // All but every fifth of the list become none.
  static void Drop(const EmulatedPass& pass, uint32_t user,
                   std::vector<ScoredRow>* candidates) {
    std::vector<ScoredRow> left;
    for (uint32_t i = 0; i < candidates->size(); ++i) {
      if (i % 5 != 0) {
        pass.pass().candidates[size_t{user} * pass.pass().capacity + i] = 0;
      } else {
        left.push_back((*candidates)[i]);
      }
    }
    *candidates = left;
  }

  // Each count with each k, with and without candidates that are none.
  void ExpectSorted(uint32_t capacity, const std::vector<uint32_t>& counts,
                    const std::vector<uint32_t>& ks) const {
    std::vector<RankQuery> queries;
    std::vector<std::vector<ScoredRow>> expected;
    for (uint32_t k : ks) {
      queries.insert(queries.end(), 2 * counts.size(), QueryFor(k));
    }
    EmulatedPass pass(queries, tiny_.model.shape, capacity);
    for (uint32_t user = 0; user < queries.size(); ++user) {
      expected.push_back(RandomCandidates(counts[user / 2 % counts.size()]));
      pass.Push(user, expected[user]);
      if (user % 2 == 1) Drop(pass, user, &expected[user]);
    }
    RunFinish(pass);
    for (uint32_t user = 0; user < queries.size(); ++user) {
      SCOPED_TRACE(testing::Message() << expected[user].size()
                                      << " candidates, k " << queries[user].k);
      std::sort(expected[user].begin(), expected[user].end());
      if (expected[user].size() > queries[user].k) {
        expected[user].resize(queries[user].k);
      }
      EXPECT_EQ(RowsAndBits(pass.Answer(user)), RowsAndBits(expected[user]));
      EXPECT_EQ(pass.result(user).outcome, Outcome::kReady);
    }
  }

  const TinyModel tiny_ = MakeTinyModel(Sized(kItems, 1, {}));
};

INSTANTIATE_TEST_SUITE_P(Orders, FinishTest, AllOrders(), OrderName);

TEST_P(FinishTest, SortsShortListsAsAWhole) {
  ExpectSorted(400, {0, 1, 2, 99, 100, 101, 255, 256, 257, 399, 400},
               {1, 2, 100});
}

TEST_P(FinishTest, SelectsFromLongLists) {
  ExpectSorted(4500, {4095, 4096, 4097, 4500}, {1, 1000});
}

TEST_P(FinishTest, SortsLongAnswersInPlace) {
  ExpectSorted(20000, {4999, 5000, 5001, 20000}, {5000});
}

TEST_P(FinishTest, AListThatLostCandidatesHasNoAnswer) {
  EmulatedPass pass({QueryFor(2), QueryFor(2)}, tiny_.model.shape, 8);
  pass.Push(0, RandomCandidates(9));
  pass.Push(1, RandomCandidates(8));
  RunFinish(pass);
  EXPECT_EQ(pass.result(0).outcome, Outcome::kOverflow);
  EXPECT_EQ(pass.result(0).count, 0);
  EXPECT_EQ(pass.result(1).outcome, Outcome::kReady);
  EXPECT_EQ(pass.result(1).count, 2);
}

TEST_P(FinishTest, PassesOnWhyThereIsNoAnswer) {
  EmulatedPass pass({QueryFor(2), QueryFor(2)}, tiny_.model.shape, 8);
  pass.outcome(0) = Outcome::kUnbounded;
  pass.outcome(1) = Outcome::kOverflow;
  pass.Push(0, RandomCandidates(3));
  pass.Push(1, RandomCandidates(3));
  RunFinish(pass, /*rescored=*/true);
  EXPECT_EQ(pass.result(0).outcome, Outcome::kUnbounded);
  EXPECT_EQ(pass.result(1).outcome, Outcome::kOverflow);
  for (uint32_t user : {0, 1}) {
    EXPECT_EQ(pass.result(user).count, 0);
    EXPECT_EQ(pass.result(user).num_rescored, 0);
  }
}

TEST_P(FinishTest, CountsWhatWasRescoredAfterAScan) {
  const std::vector<uint32_t> rows = {0, 2, 4};
  RankQuery list = QueryFor(2);
  list.allow_rows = absl::MakeConstSpan(rows);
  EmulatedPass pass({QueryFor(2), list}, tiny_.model.shape, 8);
  pass.Push(0, RandomCandidates(3));
  pass.Push(1, RandomCandidates(3));
  // Lists have no bound and cannot overflow.
  pass.outcome(1) = Outcome::kUnbounded;
  RunFinish(pass, /*rescored=*/true);
  EXPECT_EQ(pass.result(0).num_rescored, 3);
  EXPECT_EQ(pass.result(1).num_rescored, 0);
  EXPECT_EQ(pass.result(1).outcome, Outcome::kReady);
  EXPECT_EQ(pass.result(1).count, 2);
  RunFinish(pass);
  EXPECT_EQ(pass.result(0).num_rescored, 0);
}

TEST_P(FinishTest, WhoAsksForNothingGetsNothing) {
  EmulatedPass pass({QueryFor(0), QueryFor(1)}, tiny_.model.shape, 8);
  pass.Push(0, RandomCandidates(3));
  RunFinish(pass);
  for (uint32_t user : {0, 1}) {
    EXPECT_EQ(pass.result(user).count, 0);
    EXPECT_EQ(pass.result(user).outcome, Outcome::kReady);
  }
}

}  // namespace
}  // namespace neumf::cuda
