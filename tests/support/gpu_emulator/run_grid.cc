#include "tests/support/gpu_emulator/run_grid.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/logging.h"
#include "base/split_mix64.h"
#include "base/status_macros.h"
#include "tests/support/gpu_emulator/fiber.h"
#include "tests/support/gpu_emulator/guarded_memory.h"

namespace neumf::cuda {
namespace {

// Who goes on among those that can.
class Turns {
 public:
  explicit Turns(const EmulationOptions& options)
      : order_(options.order), state_(options.seed) {}

  // One of `count` > 0.
  uint32_t Choose(uint32_t count) {
    switch (order_) {
      case Order::kAscending:
        return 0;
      case Order::kDescending:
        return count - 1;
      case Order::kShuffled:
        break;
    }
    state_ += kSplitMix64Step;
    return static_cast<uint32_t>(SplitMix64(state_) % count);
  }

  // `numbers` 0, 1, ... in the order in which they get their turn.
  void Arrange(absl::Span<uint32_t> numbers) {
    std::iota(numbers.begin(), numbers.end(), uint32_t{0});
    if (order_ == Order::kDescending) {
      std::reverse(numbers.begin(), numbers.end());
    } else if (order_ == Order::kShuffled) {
      for (size_t n = numbers.size(); n > 1; --n) {
        std::swap(numbers[n - 1], numbers[Choose(static_cast<uint32_t>(n))]);
      }
    }
  }

 private:
  const Order order_;
  uint64_t state_;
};

// A block's dynamic shared memory.
class SharedMemory {
 public:
  explicit SharedMemory(uint32_t bytes) : memory_(bytes) {}

  std::byte* data() const { return memory_.data(); }
  bool ZonesAreWhole() const { return memory_.ZonesAreWhole(); }

  // For a new block.
  void Poison() {
    std::memset(data(), 0xFF, memory_.size_bytes());
    published_.clear();
  }
  // What WideMma() sees from now on: it reads past the threads' caches.
  void Publish() { published_.assign(data(), data() + memory_.size_bytes()); }
  // Whether all of [begin, begin + bytes) is as it was published.
  bool IsPublished(const void* begin, size_t bytes) const {
    const auto at =
        static_cast<size_t>(static_cast<const std::byte*>(begin) - data());
    return at <= published_.size() && bytes <= published_.size() - at &&
           std::memcmp(begin, published_.data() + at, bytes) == 0;
  }

 private:
  GuardedMemory memory_;
  std::vector<std::byte> published_;
};

// Stacks are kept for the next launch.
Fiber& FiberOfThisHostThread(uint32_t number) {
  thread_local std::vector<std::unique_ptr<Fiber>> fibers;
  while (fibers.size() <= number) fibers.push_back(std::make_unique<Fiber>());
  return *fibers[number];
}

// Where a thread stands, for people.
std::string PlaceText(const Operation& operation) {
  const char* const name = NameOf(operation.kind);
  if (operation.kind == Operation::Kind::kEnd) return name;
  return absl::StrCat(name, " (", operation.file, ":", operation.line, ")");
}

bool Meet(const Operation& a, const Operation& b) {
  return a.kind == b.kind && a.line == b.line &&
         (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

// The threads of one block, from their start to their end.
class BlockRun {
 public:
  using Kernel = absl::FunctionRef<void(EmulatedThread&)>;
  static constexpr uint32_t kGroupWarps = 4;

  BlockRun(const EmulatedThread::Position& first, uint32_t num_threads,
           Kernel kernel, MmaSums sums, SharedMemory& shared, Turns& turns)
      : block_(first.block), sums_(sums), shared_(shared), turns_(turns) {
    EmulatedThread::Position position = first;
    threads_.reserve(num_threads);
    for (uint32_t t = 0; t < num_threads; ++t) {
      position.thread = t;
      threads_.emplace_back(position, kernel);
      Thread& thread = threads_.back();
      thread.fiber.Start(&Thread::Run, &thread);
    }
    for (uint32_t w = 0; w < num_threads / kLanes; ++w) runnable_.push_back(w);
  }

  absl::Status Run() {
    do {
      while (!runnable_.empty()) {
        const uint32_t chosen =
            turns_.Choose(static_cast<uint32_t>(runnable_.size()));
        const uint32_t warp = runnable_[chosen];
        NEUMF_RETURN_IF_ERROR(Step(warp));
        if (CanGoOn(warp)) continue;
        runnable_.erase(runnable_.begin() + chosen);
        if (Of(warp, 0).kind == Operation::Kind::kWideMma) {
          NEUMF_RETURN_IF_ERROR(MeetGroup(warp / kGroupWarps));
        }
      }
      NEUMF_RETURN_IF_ERROR(MeetBlock());
    } while (!runnable_.empty());
    return absl::OkStatus();
  }

 private:
  struct Thread {
    Thread(const EmulatedThread::Position& position, Kernel body)
        : fiber(FiberOfThisHostThread(position.thread)),
          emulated(position, fiber),
          kernel(body) {}
    static void Run(void* argument) {
      auto& thread = *static_cast<Thread*>(argument);
      thread.kernel(thread.emulated);
      thread.emulated.operation() = {};
      thread.emulated.operation().kind = Operation::Kind::kEnd;
    }

    Fiber& fiber;
    EmulatedThread emulated;
    Kernel kernel;
  };

  Operation& Of(uint32_t warp, uint32_t lane) {
    return threads_[warp * kLanes + lane].emulated.operation();
  }
  uint32_t num_warps() const {
    return static_cast<uint32_t>(threads_.size()) / kLanes;
  }

  // Neither at the end nor at something of more than this warp.
  bool CanGoOn(uint32_t warp) {
    const Operation::Kind kind = Of(warp, 0).kind;
    return kind != Operation::Kind::kEnd &&
           kind != Operation::Kind::kSyncBlock &&
           kind != Operation::Kind::kWideMma;
  }

  // Lets the warp's lanes run to what they do next together, and does it.
  absl::Status Step(uint32_t warp) {
    uint32_t order[kLanes];
    turns_.Arrange(absl::MakeSpan(order));
    Fiber* fibers[kLanes];
    for (uint32_t i = 0; i < kLanes; ++i) {
      fibers[i] = &threads_[warp * kLanes + order[i]].fiber;
    }
    Fiber::RunInTurn(fibers);
    Operation* lanes[kLanes];
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      lanes[lane] = &Of(warp, lane);
      if (lanes[lane]->kind == Operation::Kind::kMisaligned) {
        return absl::InternalError(
            absl::StrCat("block ", block_, ", thread ", warp * kLanes + lane,
                         " stopped at ", PlaceText(*lanes[lane])));
      }
    }
    for (const Operation* lane : lanes) {
      if (!Meet(*lanes[0], *lane)) return FaultOf(warp, "divergence");
    }
    if (!CanGoOn(warp) || Execute(lanes, sums_)) return absl::OkStatus();
    return FaultOf(warp, "a shuffle from a lane that there is not");
  }

  // A warpgroup goes on when the last of its warps is at the WideMma().
  absl::Status MeetGroup(uint32_t group) {
    const uint32_t first = group * kGroupWarps;
    if (first + kGroupWarps > num_warps()) return absl::OkStatus();
    const Operation& one = Of(first, 0);
    for (uint32_t warp = first; warp < first + kGroupWarps; ++warp) {
      if (!Meet(one, Of(warp, 0))) return absl::OkStatus();
    }
    if (!shared_.IsPublished(one.b, sizeof(uint32_t) * one.value)) {
      return FaultOf(first, "a matrix that was not published");
    }
    for (uint32_t warp = first; warp < first + kGroupWarps; ++warp) {
      for (uint32_t lane = 0; lane < kLanes; ++lane) {
        if (Of(warp, lane).b != one.b) {
          return FaultOf(warp, "a warpgroup with different matrices");
        }
      }
      const auto behind =
          std::upper_bound(runnable_.begin(), runnable_.end(), warp);
      runnable_.insert(behind, warp);
    }
    return absl::OkStatus();
  }

  // All warps have to be at the same SyncBlock(), and go on, or at their end.
  absl::Status MeetBlock() {
    const Operation::Kind kind = Of(0, 0).kind;
    for (uint32_t warp = 0; warp < num_warps(); ++warp) {
      if (!Meet(Of(0, 0), Of(warp, 0)) || kind == Operation::Kind::kWideMma) {
        return FaultOfBlock();
      }
      if (kind == Operation::Kind::kSyncBlock) runnable_.push_back(warp);
    }
    bool published = false;
    for (Thread& thread : threads_) {
      published = thread.emulated.TakePublished() || published;
    }
    if (published) shared_.Publish();
    return absl::OkStatus();
  }

  absl::Status FaultOf(uint32_t warp, const char* fault) {
    std::string text =
        absl::StrCat(fault, " in block ", block_, ", warp ", warp, ":");
    for (uint32_t first = 0, end = 0; first < kLanes; first = end) {
      while (end < kLanes && Meet(Of(warp, first), Of(warp, end))) ++end;
      absl::StrAppend(&text, " lanes ", first, "-", end - 1, " at ",
                      PlaceText(Of(warp, first)), ";");
    }
    return absl::InternalError(text);
  }

  absl::Status FaultOfBlock() {
    std::string text =
        absl::StrCat("deadlock in block ", block_, ", whose warps never meet:");
    for (uint32_t warp = 0; warp < num_warps(); ++warp) {
      absl::StrAppend(&text, " warp ", warp, " at ", PlaceText(Of(warp, 0)),
                      ";");
    }
    return absl::InternalError(text);
  }

  const uint32_t block_;
  const MmaSums sums_;
  SharedMemory& shared_;
  Turns& turns_;
  std::vector<Thread> threads_;     // fibers point to them
  std::vector<uint32_t> runnable_;  // warps, ascending
};

}  // namespace

absl::Status RunBlocks(const Grid& grid, uint32_t threads,
                       absl::FunctionRef<void(EmulatedThread&)> kernel,
                       const EmulationOptions& options) {
  NEUMF_CHECK(threads > 0 && threads % kLanes == 0);
  Turns turns(options);
  SharedMemory shared(grid.shared_bytes);
  std::vector<uint32_t> order(grid.blocks);
  turns.Arrange(absl::MakeSpan(order));
  for (const uint32_t block : order) {
    shared.Poison();
    const EmulatedThread::Position first{block, grid.blocks, 0, shared.data()};
    NEUMF_RETURN_IF_ERROR(
        BlockRun(first, threads, kernel, options.sums, shared, turns).Run());
    if (!shared.ZonesAreWhole()) {
      return absl::InternalError(absl::StrCat(
          "block ", block, " wrote beyond its dynamic shared memory of ",
          grid.shared_bytes, " bytes"));
    }
  }
  return absl::OkStatus();
}

}  // namespace neumf::cuda
