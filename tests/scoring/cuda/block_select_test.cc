#include "scoring/cuda/kernels/block_select.h"

#include <algorithm>
#include <functional>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "scoring/cuda/kernels/rank_keys.h"
#include "tests/scoring/cuda/kernel_test.h"

namespace neumf::cuda {
namespace {

using Keys = std::vector<uint64_t>;

constexpr uint32_t kThreads = 96;  // no power of two
constexpr uint32_t kSizes[] = {1, 2, 31, 32, 33, 95, 96, 97, 192, 500, 1024};

enum class Scores { kAny, kEqual, kNear, kTwoValues, kSomeNone, kMostNone };

Keys MakeKeys(Scores scores, uint32_t count) {
  std::mt19937 random(count);
  Keys keys;
  for (uint32_t row = 0; row < count; ++row) {
    float score = 0.5F;
    if (scores == Scores::kNear) score += 1e-7F * static_cast<float>(row % 9);
    if (scores == Scores::kTwoValues && row % 3 == 0) score = -score;
    if (scores == Scores::kAny) {
      score = std::normal_distribution<float>(0, 3)(random);
    }
    const bool is_none = (scores == Scores::kSomeNone && row % 4 == 1) ||
                         (scores == Scores::kMostNone && row != count / 2);
    keys.push_back(is_none ? 0 : RankKeyOf(score, row));
  }
  std::shuffle(keys.begin(), keys.end(), random);
  return keys;
}

Keys Sorted(Keys keys) {
  std::sort(keys.begin(), keys.end(), std::greater<>());
  return keys;
}

class BlockSelectTest : public KernelTest {
 protected:
  // With keys of every kind and number.
  static void ForEachKeys(const std::function<void(const Keys&)>& use) {
    for (Scores scores :
         {Scores::kAny, Scores::kEqual, Scores::kNear, Scores::kTwoValues,
          Scores::kSomeNone, Scores::kMostNone}) {
      for (uint32_t count : kSizes) {
        SCOPED_TRACE(testing::Message() << "kind " << static_cast<int>(scores)
                                        << ", " << count << " keys");
        use(MakeKeys(scores, count));
      }
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Orders, BlockSelectTest, AllOrders(), OrderName);

// One call follows the other at once, with the same shared memory.
TEST_P(BlockSelectTest, KthGreatestIsThatOfSorting) {
  ForEachKeys([&](const Keys& keys) {
    const auto count = static_cast<uint32_t>(keys.size());
    const Keys sorted = Sorted(keys);
    const std::vector<uint32_t> ks = {1, (count + 1) / 2, count,
                                      std::max(1U, count - 1),
                                      std::min(2U, count)};
    RunBody<kThreads>(sizeof(SelectShared), [&](EmulatedThread& thread) {
      auto* const shared = reinterpret_cast<SelectShared*>(thread.shared());
      for (uint32_t k : ks) {
        ASSERT_EQ(KthGreatest<kThreads>(thread, keys.data(), count, k, shared),
                  sorted[k - 1])
            << "k " << k;
      }
    });
  });
}

TEST_P(BlockSelectTest, KthGreatestFindsKeysThatDifferInAnyOneBit) {
  for (uint32_t bit = 0; bit < 64; ++bit) {
    const uint64_t low = 0x0123456789ABCDEF & ~(uint64_t{1} << bit);
    const Keys keys = {low, low | uint64_t{1} << bit};
    RunBody<kThreads>(sizeof(SelectShared), [&](EmulatedThread& thread) {
      auto* const shared = reinterpret_cast<SelectShared*>(thread.shared());
      ASSERT_EQ(KthGreatest<kThreads>(thread, keys.data(), 2, 1, shared),
                keys[1]);
      ASSERT_EQ(KthGreatest<kThreads>(thread, keys.data(), 2, 2, shared),
                keys[0]);
    });
  }
}

TEST_P(BlockSelectTest, KeepFromKeepsAllThatAreNotLess) {
  ForEachKeys([&](const Keys& keys) {
    const Keys sorted = Sorted(keys);
    const uint64_t leasts[] = {0,
                               1,
                               sorted.back(),
                               sorted[sorted.size() / 2],
                               sorted.front(),
                               sorted.front() + 1};
    for (uint64_t least : leasts) {
      Keys kept = keys;
      uint32_t num_kept = 0;
      RunBody<kThreads>(sizeof(SelectShared), [&](EmulatedThread& thread) {
        auto* const shared = reinterpret_cast<SelectShared*>(thread.shared());
        num_kept = KeepFrom<kThreads>(thread, kept.data(),
                                      static_cast<uint32_t>(kept.size()), least,
                                      shared);
      });
      Keys expected = keys;
      expected.erase(std::remove_if(expected.begin(), expected.end(),
                                    [&](uint64_t key) { return key < least; }),
                     expected.end());
      ASSERT_EQ(num_kept, expected.size());
      kept.resize(num_kept);
      ASSERT_EQ(Sorted(kept), Sorted(expected));
    }
  });
}

TEST_P(BlockSelectTest, SortsAnyPowerOfTwo) {
  for (uint32_t size = 1; size <= 1024; size *= 2) {
    for (Scores scores : {Scores::kAny, Scores::kEqual, Scores::kSomeNone}) {
      Keys keys = MakeKeys(scores, size);
      const Keys expected = Sorted(keys);
      RunBody<kThreads>(0, [&](EmulatedThread& thread) {
        SortDescending<kThreads>(thread, keys.data(), size);
      });
      ASSERT_EQ(keys, expected) << size << " keys";
    }
  }
}

TEST_P(BlockSelectTest, SeesWhatOtherThreadsWroteBefore) {
  const Keys keys = MakeKeys(Scores::kAny, kThreads);
  const Keys sorted = Sorted(keys);
  constexpr uint32_t kSize = 64;
  Keys kth(kThreads, keys[0]);
  Keys kept = kth;
  Keys in_order = kth;
  RunBody<kThreads>(sizeof(SelectShared), [&](EmulatedThread& thread) {
    auto* const shared = reinterpret_cast<SelectShared*>(thread.shared());
    // What the next thread reads first.
    const uint32_t own = (thread.thread() + 1) % kThreads;
    kth[own] = keys[own];
    ASSERT_EQ(KthGreatest<kThreads>(thread, kth.data(), kThreads, 5, shared),
              sorted[4]);
    kept[own] = keys[own];
    ASSERT_EQ(
        KeepFrom<kThreads>(thread, kept.data(), kThreads, sorted[6], shared),
        7);
    in_order[own] = keys[own];
    SortDescending<kThreads>(thread, in_order.data(), kSize);
    ASSERT_TRUE(std::is_sorted(in_order.begin(), in_order.begin() + kSize,
                               std::greater<>()));
  });
}

// A network that sorts zeros and ones sorts everything.
TEST_P(BlockSelectTest, SortsAllPatternsOfZerosAndOnes) {
  constexpr uint32_t kSize = 8;
  for (uint32_t pattern = 0; pattern < 1 << kSize; ++pattern) {
    Keys keys;
    for (uint32_t i = 0; i < kSize; ++i) keys.push_back(pattern >> i & 1);
    const Keys expected = Sorted(keys);
    RunBody<kLanes>(0, [&](EmulatedThread& thread) {
      SortDescending<kLanes>(thread, keys.data(), kSize);
    });
    ASSERT_EQ(keys, expected);
  }
}

}  // namespace
}  // namespace neumf::cuda
