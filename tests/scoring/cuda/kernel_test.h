#pragma once

// Tests of kernels run with each order of blocks, warps and lanes.

#include <string>

#include "gtest/gtest.h"
#include "tests/support/gpu_emulator/run_grid.h"
#include "tests/support/status_matchers.h"

namespace neumf::cuda {

inline auto AllOrders() {
  return testing::Values(Order::kAscending, Order::kDescending,
                         Order::kShuffled);
}

inline std::string OrderName(const testing::TestParamInfo<Order>& info) {
  switch (info.param) {
    case Order::kAscending:
      return "Ascending";
    case Order::kDescending:
      return "Descending";
    case Order::kShuffled:
      return "Shuffled";
  }
  return "";
}

// A kernel of a lambda.
template <uint32_t kNumThreads, typename Body>
struct BodyKernel {
  static constexpr uint32_t kThreads = kNumThreads;
  static constexpr uint32_t kMinBlocks = 1;
  Body body;

  template <typename Thread>
  void operator()(Thread& thread) const {
    body(thread);
  }
};

class KernelTest : public testing::TestWithParam<Order> {
 protected:
  // Fails when the kernel has a fault.
  template <typename Kernel>
  void Run(const Kernel& kernel, uint32_t blocks, uint32_t shared_bytes) const {
    EmulationOptions options;
    options.order = GetParam();
    NEUMF_EXPECT_OK(RunGrid({blocks, shared_bytes}, kernel, options));
  }
  // In one block.
  template <uint32_t kNumThreads, typename Body>
  void RunBody(uint32_t shared_bytes, const Body& body) const {
    Run(BodyKernel<kNumThreads, Body>{body}, 1, shared_bytes);
  }
};

}  // namespace neumf::cuda
