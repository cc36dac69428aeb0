// The emulator finds the faults that it is there for.

#include <functional>
#include <numeric>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/gpu_emulator/run_grid.h"
#include "tests/support/gpu_emulator/sanitizers.h"
#include "tests/support/status_matchers.h"

namespace neumf::cuda {
namespace {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;

constexpr uint32_t kBlockThreads = 96;

// A kernel from a lambda.
template <typename Body, uint32_t kNumThreads = kBlockThreads>
struct TestKernel {
  static constexpr uint32_t kThreads = kNumThreads;
  static constexpr uint32_t kMinBlocks = 1;
  Body body;

  template <typename Thread>
  void operator()(Thread& thread) const {
    body(thread);
  }
};

template <uint32_t kNumThreads = kBlockThreads, typename Body>
absl::Status RunBody(const Grid& grid, const Body& body,
                     const EmulationOptions& options = {}) {
  return RunGrid(grid, TestKernel<Body, kNumThreads>{body}, options);
}

absl::Status RunWarp(const std::function<void(EmulatedThread&)>& body) {
  return RunBody<kLanes>({}, body);
}

std::vector<EmulationOptions> AllOrders() {
  std::vector<EmulationOptions> all(3);
  all[0].order = Order::kAscending;
  all[1].order = Order::kDescending;
  all[2].order = Order::kShuffled;
  return all;
}

auto IsFault(const char* text) {
  return StatusIs(absl::StatusCode::kInternal, HasSubstr(text));
}

TEST(GpuEmulatorTest, RunsEveryThreadOfEveryBlockOnce) {
  constexpr uint32_t kBlocks = 5;
  for (const EmulationOptions& options : AllOrders()) {
    std::vector<uint32_t> runs(size_t{kBlocks} * kBlockThreads);
    NEUMF_EXPECT_OK(RunBody(
        {kBlocks, 0},
        [&](EmulatedThread& thread) {
          EXPECT_EQ(thread.num_blocks(), kBlocks);
          EXPECT_EQ(thread.warp() * kLanes + thread.lane(), thread.thread());
          ++runs[thread.block() * kBlockThreads + thread.thread()];
        },
        options));
    EXPECT_THAT(runs, Each(1));
  }
}

TEST(GpuEmulatorTest, BallotHasABitOfEachLane) {
  NEUMF_EXPECT_OK(RunWarp([](EmulatedThread& thread) {
    EXPECT_EQ(thread.Ballot(thread.lane() % 3 == 0), 0x49249249);
    EXPECT_EQ(thread.Ballot(thread.lane() == 31), 0x80000000);
    EXPECT_TRUE(thread.AnyInWarp(thread.lane() == 31));
    EXPECT_FALSE(thread.AnyInWarp(false));
  }));
}

TEST(GpuEmulatorTest, ShuffleGivesTheValueOfTheLaneAskedFor) {
  NEUMF_EXPECT_OK(RunWarp([](EmulatedThread& thread) {
    const uint32_t lane = thread.lane();
    EXPECT_EQ(thread.Shuffle(100 + lane, 31 - lane), 131 - lane);
    EXPECT_EQ(thread.Shuffle(lane * lane, 7), 49);
  }));
  EXPECT_THAT(
      RunWarp([](EmulatedThread& thread) { thread.Shuffle(0, kLanes); }),
      IsFault("a shuffle from a lane that there is not"));
}

TEST(GpuEmulatorTest, AtomicsGiveTheValueBefore) {
  uint32_t sum = 0;
  uint32_t greatest = 0;
  std::vector<uint32_t> taken(kBlockThreads);
  NEUMF_EXPECT_OK(RunBody({}, [&](EmulatedThread& thread) {
    ++taken[thread.AtomicAdd(&sum, 1)];
    EXPECT_LE(thread.AtomicMax(&greatest, thread.thread() * 7 % 96), 95);
  }));
  EXPECT_EQ(sum, kBlockThreads);
  EXPECT_EQ(greatest, 95);
  EXPECT_THAT(taken, Each(1));
}

// Each thread reads what its neighbour wrote into shared memory.
struct Neighbours {
  bool with_barrier = true;
  uint32_t* read = nullptr;  // [kBlockThreads]

  void operator()(EmulatedThread& thread) const {
    auto* const shared = reinterpret_cast<uint32_t*>(thread.shared());
    shared[thread.thread()] = thread.thread();
    if (with_barrier) thread.SyncBlock();
    read[thread.thread()] = shared[(thread.thread() + 1) % kBlockThreads];
  }
};

bool NeighboursMeet(bool with_barrier, const EmulationOptions& options) {
  std::vector<uint32_t> read(kBlockThreads);
  NEUMF_EXPECT_OK(RunBody({1, 4 * kBlockThreads},
                          Neighbours{with_barrier, read.data()}, options));
  std::vector<uint32_t> expected(kBlockThreads);
  std::iota(expected.begin(), expected.end(), 1);
  expected.back() = 0;
  return read == expected;
}

TEST(GpuEmulatorTest, BarriersMakeWhatOthersWroteVisible) {
  for (const EmulationOptions& options : AllOrders()) {
    EXPECT_TRUE(NeighboursMeet(true, options));
  }
}

TEST(GpuEmulatorTest, AMissingBarrierShows) {
  for (const EmulationOptions& options : AllOrders()) {
    EXPECT_FALSE(NeighboursMeet(false, options));
  }
}

// The first warp reads what the last wrote, without a barrier: right only in an
// order in which the last one runs first.
TEST(GpuEmulatorTest, AMissingBarrierThatOneOrderHidesShowsInAnother) {
  const auto reads_it = [](Order order) {
    EmulationOptions options;
    options.order = order;
    bool right = true;
    NEUMF_EXPECT_OK(RunBody(
        {1, 4 * kLanes},
        [&](EmulatedThread& thread) {
          auto* const shared = reinterpret_cast<uint32_t*>(thread.shared());
          if (thread.warp() == 2) shared[thread.lane()] = thread.lane();
          if (thread.warp() == 0) {
            right = right && shared[thread.lane()] == thread.lane();
          }
        },
        options));
    return right;
  };
  EXPECT_TRUE(reads_it(Order::kDescending));
  EXPECT_FALSE(reads_it(Order::kAscending));
}

TEST(GpuEmulatorTest, SharedMemoryHoldsNanInEveryBlock) {
  NEUMF_EXPECT_OK(RunBody({3, 4 * kBlockThreads}, [](EmulatedThread& thread) {
    auto* const shared = reinterpret_cast<uint32_t*>(thread.shared());
    EXPECT_EQ(shared[thread.thread()], 0xFFFFFFFF);
    shared[thread.thread()] = 0;
  }));
}

TEST(GpuEmulatorTest, FindsLanesThatMeetInDifferentOperations) {
  const auto body = [](EmulatedThread& thread) {
    if (thread.lane() < 16) {
      thread.SyncWarp();
    } else {
      thread.Ballot(true);
    }
  };
  EXPECT_THAT(RunWarp(body), AllOf(IsFault("divergence in block 0, warp 0"),
                                   IsFault("lanes 0-15 at SyncWarp ("),
                                   IsFault("lanes 16-31 at Ballot ("),
                                   IsFault("gpu_emulator_test.cc:")));
}

// NOLINTBEGIN(bugprone-branch-clone): that is the point. Not in one expression
// with EXPECT_THAT, either, which makes one line of its arguments.
TEST(GpuEmulatorTest, FindsLanesThatMeetInOneOperationAtDifferentLines) {
  const auto body = [](EmulatedThread& thread) {
    if (thread.lane() == 31) {
      thread.SyncWarp();
    } else {
      thread.SyncWarp();
    }
  };
  EXPECT_THAT(RunWarp(body), IsFault("divergence"));
}
// NOLINTEND(bugprone-branch-clone)

TEST(GpuEmulatorTest, FindsALaneThatEndedBeforeItsWarpMeets) {
  EXPECT_THAT(RunWarp([](EmulatedThread& thread) {
                if (thread.lane() == 5) return;
                thread.SyncWarp();
              }),
              AllOf(IsFault("divergence"), IsFault("lanes 5-5 at the end")));
}

TEST(GpuEmulatorTest, FindsAWarpThatEndedBeforeItsBlockMeets) {
  for (const EmulationOptions& options : AllOrders()) {
    EXPECT_THAT(
        RunBody(
            {2, 0},
            [](EmulatedThread& thread) {
              if (thread.warp() == 1) return;
              thread.SyncBlock();
            },
            options),
        AllOf(IsFault("deadlock in block"), IsFault("warp 0 at SyncBlock ("),
              IsFault("warp 1 at the end;")));
  }
}

// NOLINTBEGIN(bugprone-branch-clone): as above.
TEST(GpuEmulatorTest, FindsWarpsThatMeetAtDifferentBarriers) {
  const auto body = [](EmulatedThread& thread) {
    if (thread.warp() == 1) {
      thread.SyncBlock();
    } else {
      thread.SyncBlock();
    }
  };
  EXPECT_THAT(RunBody({}, body), IsFault("deadlock"));
}
// NOLINTEND(bugprone-branch-clone)

TEST(GpuEmulatorTest, FindsWritesBeyondSharedMemory) {
  if (kWithAddressSanitizer) GTEST_SKIP() << "it ends the program at once";
  for (const int beyond : {0, 255, -65, -256 - 64}) {
    EXPECT_THAT(RunBody({1, 64},
                        [&](EmulatedThread& thread) {
                          thread.shared()[64 + beyond] = std::byte{0};
                        }),
                IsFault("wrote beyond its dynamic shared memory of 64 bytes"))
        << beyond;
  }
}

TEST(GpuEmulatorTest, FindsMisalignedLoads) {
  const Words4 words[2] = {};
  const auto* const middle =
      reinterpret_cast<const Words4*>(reinterpret_cast<const char*>(words) + 8);
  EXPECT_THAT(RunWarp([&](EmulatedThread& thread) { thread.Load4(middle); }),
              IsFault("block 0, thread 0 stopped at a misaligned load ("));
}

// One wide product of zeros by a warpgroup, and one more barrier.
struct WideProduct {
  bool published = true;
  bool changed = false;  // after it was published
  uint32_t missing = 4;  // a warp

  void operator()(EmulatedThread& thread) const {
    auto* const b = reinterpret_cast<uint32_t*>(thread.shared());
    for (uint32_t i = thread.thread(); i < kWords; i += 4 * kLanes) b[i] = 0;
    if (published) thread.PublishShared();
    thread.SyncBlock();
    if (changed) b[thread.thread()] = 1;
    thread.SyncBlock();
    if (thread.warp() == missing) return;
    float acc[kOuts][4] = {};
    const uint32_t a[1][4] = {};
    thread.WideMma(acc, a, b);
  }

  static constexpr uint32_t kOuts = 4;
  static constexpr uint32_t kWords = kOuts * 2 * kLanes;
};

absl::Status RunWide(const WideProduct& product) {
  return RunBody<4 * kLanes>({1, 4 * WideProduct::kWords}, product);
}

TEST(GpuEmulatorTest, FindsWideMatricesThatWereNotPublished) {
  NEUMF_EXPECT_OK(RunWide({}));
  WideProduct unpublished;
  unpublished.published = false;
  EXPECT_THAT(RunWide(unpublished), IsFault("not published"));
  WideProduct changed;
  changed.changed = true;
  EXPECT_THAT(RunWide(changed), IsFault("not published"));
}

TEST(GpuEmulatorTest, FindsAWarpThatIsMissingInItsGroup) {
  WideProduct product;
  product.missing = 2;
  EXPECT_THAT(RunWide(product), IsFault("deadlock"));
}

TEST(GpuEmulatorTest, RunsAgainAfterAFault) {
  ASSERT_FALSE(RunBody({}, [](EmulatedThread& thread) {
                 if (thread.lane() == 5) thread.SyncWarp();
               }).ok());
  EXPECT_TRUE(NeighboursMeet(true, {}));
}

}  // namespace
}  // namespace neumf::cuda
