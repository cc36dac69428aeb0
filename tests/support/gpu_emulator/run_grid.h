#pragma once

// Runs a kernel on the CPU, a block after the other, each of its threads as a
// fiber, and finds what a GPU would answer with a hang or with wrong numbers:
//
//   divergence   lanes of a warp that meet in different operations, or in the
//                same one at different lines; a lane that has ended when its
//                warp does something together; so with warps of a block
//   deadlock     threads that wait for others that have ended
//   overruns     writes beyond the dynamic shared memory
//   publishing   matrices of WideMma() that are not as the last SyncBlock() after
//                a PublishShared() left them
//   misaligned   addresses of Load4() and Load2()
//   missing      barriers: threads run in turns, so what a thread reads too early
//                is what was there before, and which thread runs first is up to
//                Order: run a kernel with all of them
//
//   NEUMF_EXPECT_OK(RunGrid({4, 1024}, MyKernel{...}));
//
// Shared memory holds 0xFF at first, NaN as floats and halves. Thread-safe.

#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "scoring/cuda/device/thread.h"
#include "tests/support/gpu_emulator/emulated_thread.h"
#include "tests/support/gpu_emulator/warp_operations.h"

namespace neumf::cuda {

// Which of the blocks, warps and lanes that can go on goes on.
enum class Order {
  kAscending,   // the first, until it has to wait
  kDescending,  // the last
  kShuffled,    // any, drawn anew at each stop
};

struct EmulationOptions {
  Order order = Order::kAscending;
  uint64_t seed = 1;  // of kShuffled
  MmaSums sums = MmaSums::kRoundedOnce;
};

// INTERNAL with block, lanes and lines when the kernel has a fault; what it wrote
// until then is written. REQUIRES: `threads` of a block are a multiple of 32.
absl::Status RunBlocks(const Grid& grid, uint32_t threads,
                       absl::FunctionRef<void(EmulatedThread&)> kernel,
                       const EmulationOptions& options);

template <typename Kernel>
absl::Status RunGrid(const Grid& grid, const Kernel& kernel,
                     const EmulationOptions& options = {}) {
  static_assert(Kernel::kThreads % kLanes == 0 && Kernel::kThreads <= 1024);
  static_assert(Kernel::kMinBlocks > 0);
  return RunBlocks(
      grid, Kernel::kThreads, [&](EmulatedThread& thread) { kernel(thread); },
      options);
}

}  // namespace neumf::cuda
