#include "scoring/select_greatest.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "scoring/rank_key.h"

namespace neumf {
namespace {

using Keys = std::vector<uint64_t>;

Keys Ascending(size_t count) {
  Keys keys(count);
  std::iota(keys.begin(), keys.end(), uint64_t{1});
  return keys;
}

Keys Shuffled(size_t count) {
  Keys keys = Ascending(count);
  std::shuffle(keys.begin(), keys.end(), std::mt19937_64(count));
  return keys;
}

// Up and down again: the first, middle and last key are the least helpful ones.
Keys OrganPipe(size_t count) {
  Keys keys;
  for (size_t i = 0; i < count; ++i) {
    keys.push_back(i < count / 2 ? 2 * i : 2 * (count - i) - 1);
  }
  return keys;
}

void ExpectSelects(Keys keys, size_t k) {
  Keys sorted = keys;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  SelectGreatest(keys.data(), keys.size(), k);
  const size_t kept = std::min(k, keys.size());
  std::sort(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(kept),
            std::greater<>());
  EXPECT_TRUE(std::equal(keys.begin(),
                         keys.begin() + static_cast<std::ptrdiff_t>(kept),
                         sorted.begin()))
      << "the " << k << " greatest of " << keys.size();
  std::sort(keys.begin(), keys.end(), std::greater<>());
  EXPECT_EQ(keys, sorted) << "a key was lost";
}

TEST(SelectGreatestTest, SelectsFromEveryOrder) {
  for (size_t count : {0, 1, 2, 3, 15, 16, 17, 18, 100, 300, 5000}) {
    for (size_t k : {size_t{0}, size_t{1}, count / 3, count / 2, count - 1,
                     count, count + 1}) {
      if (k > count + 1) continue;
      Keys descending = Ascending(count);
      std::reverse(descending.begin(), descending.end());
      ExpectSelects(Ascending(count), k);
      ExpectSelects(descending, k);
      ExpectSelects(Shuffled(count), k);
      ExpectSelects(OrganPipe(count), k);
    }
  }
}

TEST(RankKeyTest, OrdersAsTheAnswersDo) {
  const std::vector<ScoredRow> best_first = {
      {INFINITY, 0},   {3e38F, 1},  {1, 2},      {1, 3},
      {1, 0xFFFFFFFF}, {1e-45F, 4}, {0, 5},      {0, 6},
      {-1e-45F, 7},    {-1, 8},     {-3e38F, 9}, {-INFINITY, 9}};
  for (size_t i = 0; i < best_first.size(); ++i) {
    EXPECT_EQ(FromRankKey(RankKey(best_first[i])), best_first[i]);
    if (i > 0) {
      EXPECT_GT(RankKey(best_first[i - 1]), RankKey(best_first[i])) << i;
    }
  }
}

}  // namespace
}  // namespace neumf
