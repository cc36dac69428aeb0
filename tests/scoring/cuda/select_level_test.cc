#include "scoring/cuda/kernels/select_level.h"

#include <algorithm>
#include <cmath>
#include <limits>
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

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr uint32_t kItems = 3000;
constexpr uint32_t kCapacity = 1300;  // more than two keys a thread

class SelectLevelTest : public KernelTest {
 protected:
  RankQuery QueryFor(uint32_t k) const { return QueryOf(tiny_, 0, k); }

  EmulatedPass PassOf(const std::vector<RankQuery>& queries) const {
    return EmulatedPass(queries, tiny_.model.shape, kCapacity);
  }

  void Select(const EmulatedPass& pass) const {
    Run(SelectLevel{pass.pass()}, pass.pass().max_users,
        SelectLevel::SharedBytes());
  }

  static std::vector<ScoredRow> RandomCandidates(uint32_t count) {
    std::mt19937 random(count);
    std::normal_distribution<float> score;
    std::vector<ScoredRow> candidates;
    for (uint32_t i = 0; i < count; ++i) {
      candidates.push_back({score(random) + 0.0F, 2 * i});
    }
    return candidates;
  }

  const TinyModel tiny_ = MakeTinyModel(Sized(kItems, 1, {}));
};

INSTANTIATE_TEST_SUITE_P(Orders, SelectLevelTest, AllOrders(), OrderName);

TEST_P(SelectLevelTest, KeepsWhatIsWithinTheMarginOfTheKthBest) {
  const uint32_t ks[] = {1, 2, 10, 100, 300};
  const uint32_t counts[] = {1,   2,   9,    10,   11,   99,  100,
                             101, 512, 1024, 1025, 1299, 1300};
  std::vector<RankQuery> queries;
  for (uint32_t k : ks) {
    queries.insert(queries.end(), std::size(counts), QueryFor(k));
  }
  EmulatedPass pass = PassOf(queries);
  for (uint32_t user = 0; user < queries.size(); ++user) {
    pass.Push(user, RandomCandidates(counts[user % std::size(counts)]));
    pass.margin(user) = user % 3 == 0 ? 0 : 0.1F * static_cast<float>(user % 3);
  }
  Select(pass);
  for (uint32_t user = 0; user < queries.size(); ++user) {
    const uint32_t count = counts[user % std::size(counts)];
    const uint32_t k = queries[user].k;
    SCOPED_TRACE(testing::Message() << count << " candidates, k " << k);
    std::vector<ScoredRow> expected = RandomCandidates(count);
    std::sort(expected.begin(), expected.end());
    float threshold = -kInfinity;
    if (count >= k) {
      const double exact = double{expected[k - 1].score} - pass.margin(user);
      threshold = static_cast<float>(exact);
      // Rounding loses nobody.
      for (const ScoredRow& item : expected) {
        ASSERT_TRUE(item.score < exact || item.score >= threshold);
      }
    }
    expected.erase(std::remove_if(expected.begin(), expected.end(),
                                  [&](const ScoredRow& item) {
                                    return item.score < threshold;
                                  }),
                   expected.end());
    EXPECT_EQ(pass.threshold(user), threshold);
    EXPECT_EQ(pass.Candidates(user), expected);
    EXPECT_EQ(pass.outcome(user), Outcome::kReady);
  }
}

TEST_P(SelectLevelTest, TellsOfAListThatLostCandidates) {
  EmulatedPass pass = PassOf({QueryFor(10), QueryFor(10)});
  pass.Push(0, RandomCandidates(kCapacity));
  pass.Push(1, RandomCandidates(kCapacity + 1));
  Select(pass);
  EXPECT_EQ(pass.outcome(0), Outcome::kReady);
  EXPECT_EQ(pass.Candidates(0).size(), 10);
  EXPECT_EQ(pass.outcome(1), Outcome::kOverflow);
  EXPECT_EQ(pass.threshold(1), kInfinity);
}

TEST_P(SelectLevelTest, KeepsAllThatAreAsGoodAsTheKth) {
  EmulatedPass pass = PassOf({QueryFor(10)});
  std::vector<ScoredRow> candidates = RandomCandidates(700);
  for (ScoredRow& candidate : candidates) candidate.score = 0;
  pass.Push(0, candidates);
  pass.Push(0, {{-1, 2500}, {-2, 2501}});
  Select(pass);
  EXPECT_EQ(pass.threshold(0), 0);
  EXPECT_EQ(pass.Candidates(0), candidates);
}

TEST_P(SelectLevelTest, NeverLowersAThreshold) {
  EmulatedPass pass = PassOf({QueryFor(2)});
  pass.threshold(0) = 0.75F;
  pass.margin(0) = 10;
  pass.Push(0, {{1, 0}, {0.75F, 1}, {2, 2}});
  Select(pass);
  EXPECT_EQ(pass.threshold(0), 0.75F);
  EXPECT_EQ(pass.Candidates(0).size(), 3);
}

TEST_P(SelectLevelTest, InfiniteScoresRaiseOnlyWhatTheyCan) {
  EmulatedPass pass = PassOf({QueryFor(2), QueryFor(2), QueryFor(2)});
  pass.Push(0, {{kInfinity, 0}, {kInfinity, 1}, {1, 2}});
  pass.Push(1, {{1, 0}, {-kInfinity, 1}, {-kInfinity, 2}});
  pass.Push(2, {{kInfinity, 0}, {kInfinity, 1}, {1, 2}});
  pass.margin(2) = kInfinity;
  Select(pass);
  EXPECT_EQ(pass.Candidates(0).size(), 2);
  EXPECT_EQ(pass.Candidates(1).size(), 3);
  EXPECT_EQ(pass.Candidates(2).size(), 3);
}

TEST_P(SelectLevelTest, LeavesAloneWhoDoesNotScan) {
  const std::vector<uint32_t> rows = {1, 2, 3};
  RankQuery list = QueryFor(1);
  list.allow_rows = absl::MakeConstSpan(rows);
  const std::vector<RankQuery> queries = {QueryFor(0), list, QueryFor(1)};
  EmulatedPass pass = PassOf(queries);
  pass.outcome(2) = Outcome::kUnbounded;
  const uint32_t absent = 3;
  for (uint32_t user = 0; user <= absent; ++user) {
    pass.Push(user, RandomCandidates(20));
  }
  Select(pass);
  for (uint32_t user = 0; user <= absent; ++user) {
    EXPECT_EQ(pass.count(user), 20);
    EXPECT_EQ(pass.threshold(user), -kInfinity);
  }
  EXPECT_EQ(pass.outcome(2), Outcome::kUnbounded);
}

}  // namespace
}  // namespace neumf::cuda
