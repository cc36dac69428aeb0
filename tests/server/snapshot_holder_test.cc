#include "server/snapshot_holder.h"

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "server/reaper.h"
#include "tests/server/test_snapshot.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

std::shared_ptr<const Snapshot> Version(uint64_t version) {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->version = version;
  return snapshot;
}

TEST(SnapshotHolderTest, HoldsNothingBeforeTheFirstSwap) {
  const SnapshotHolder holder;
  EXPECT_EQ(holder.Get(), nullptr);
}

TEST(SnapshotHolderTest, SwapReturnsWhatWasServedBefore) {
  SnapshotHolder holder;
  const auto first = Version(1);
  const auto second = Version(2);
  EXPECT_EQ(holder.Swap(first), nullptr);
  EXPECT_EQ(holder.Swap(second), first);
  EXPECT_EQ(holder.Get(), second);
}

TEST(SnapshotHolderTest, NoReaderEverSeesAnOlderVersionAgain) {
  constexpr uint64_t kVersions = 2000;
  SnapshotHolder holder;
  holder.Swap(Version(1));
  std::atomic<int> went_back{0};
  std::vector<std::thread> readers;
  readers.reserve(4);
  for (int t = 0; t < 4; ++t) {
    readers.emplace_back([&] {
      uint64_t last = 0;
      while (last < kVersions) {
        const uint64_t version = holder.Get()->version;
        if (version < last) ++went_back;
        last = version;
      }
    });
  }
  for (uint64_t v = 2; v <= kVersions; ++v) holder.Swap(Version(v));
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(went_back, 0);
}

TEST(ReaperTest, FreesOnAThreadOfItsOwn) {
  std::thread::id freed_by;
  {
    Reaper reaper;
    TestSnapshot made = MakeTestSnapshot(1);
    made.scorer->on_destruction = [&] {
      freed_by = std::this_thread::get_id();
    };
    made.scorer.reset();
    std::shared_ptr<const Snapshot> snapshot =
        reaper.Adopt(std::move(made.snapshot));
    EXPECT_EQ(snapshot->version, 1U);
    snapshot.reset();
  }
  EXPECT_NE(freed_by, std::thread::id());
  EXPECT_NE(freed_by, std::this_thread::get_id());
}

// Nor is it idle while the last user is handing one over.
TEST(ReaperTest, IsNotIdleBeforeWhatNobodyHoldsIsFreed) {
  Reaper reaper;
  for (int i = 0; i < 1000; ++i) {
    std::atomic<bool> is_freed{false};
    TestSnapshot made = MakeTestSnapshot(1);
    made.scorer->on_destruction = [&] { is_freed = true; };
    made.scorer.reset();
    auto snapshot = reaper.Adopt(std::move(made.snapshot));
    const std::weak_ptr<const Snapshot> watched = snapshot;
    std::thread user([last = std::move(snapshot)]() mutable { last.reset(); });
    while (!watched.expired()) std::this_thread::yield();
    reaper.WaitUntilIdle();
    EXPECT_TRUE(is_freed);
    user.join();
  }
}

TEST(ReaperTest, FreesAllThatWasHandedOverBeforeItEnds) {
  std::atomic<int> freed{0};
  {
    Reaper reaper;
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) {
          TestSnapshot made = MakeTestSnapshot(1);
          made.scorer->on_destruction = [&] { ++freed; };
          made.scorer.reset();
          reaper.Adopt(std::move(made.snapshot)).reset();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(freed, 200);
}

}  // namespace
}  // namespace neumf
