#pragma once

// thread.h's Thread on a GPU: what a kernel asks for, as the instruction that
// does it. sm_80 and up.
//
// Products of a whole warp are volatile, so that the compiler does not move them
// into a branch that some lanes do not take.

#include <cstddef>
#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/device/thread.h"

namespace neumf::cuda {

class CudaThread {
 public:
  static constexpr uint32_t kLanes = cuda::kLanes;

  NEUMF_DEVICE uint32_t block() const { return blockIdx.x; }
  NEUMF_DEVICE uint32_t num_blocks() const { return gridDim.x; }
  NEUMF_DEVICE uint32_t thread() const { return threadIdx.x; }
  NEUMF_DEVICE uint32_t lane() const { return threadIdx.x % kLanes; }
  NEUMF_DEVICE uint32_t warp() const { return threadIdx.x / kLanes; }

  NEUMF_DEVICE std::byte* shared() const {
    extern __shared__ uint4 dynamic_shared_memory[];
    return reinterpret_cast<std::byte*>(dynamic_shared_memory);
  }

  NEUMF_DEVICE void SyncBlock() const { __syncthreads(); }
  NEUMF_DEVICE void SyncWarp() const { __syncwarp(); }
  NEUMF_DEVICE bool AnyInWarp(bool value) const {
    return __any_sync(kWholeWarp, value) != 0;
  }
  NEUMF_DEVICE uint32_t Ballot(bool value) const {
    return __ballot_sync(kWholeWarp, value);
  }
  NEUMF_DEVICE uint32_t Shuffle(uint32_t value, uint32_t lane) const {
    return __shfl_sync(kWholeWarp, value, static_cast<int>(lane));
  }

  NEUMF_DEVICE void Mma16(float (&acc)[4], const uint32_t (&a)[4],
                          const uint32_t (&b)[2]) const {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
  NEUMF_DEVICE void Mma16(float (&acc)[4], const uint32_t (&a)[4],
                          const uint32_t (&b)[2],
                          const float (&start)[4]) const {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"
        : "=f"(acc[0]), "=f"(acc[1]), "=f"(acc[2]), "=f"(acc[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]),
          "f"(start[0]), "f"(start[1]), "f"(start[2]), "f"(start[3]));
  }
  NEUMF_DEVICE void Mma8(float (&acc)[4], const uint32_t (&a)[2],
                         uint32_t b) const {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])
        : "r"(a[0]), "r"(a[1]), "r"(b));
  }

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  static constexpr bool kHasWideMma = true;

  // What ordinary stores put into shared memory, the tensor cores see only
  // after this.
  NEUMF_DEVICE void PublishShared() const {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  }

  template <uint32_t kOuts, uint32_t kSteps>
  NEUMF_DEVICE void WideMma(float (&acc)[kOuts][4],
                            const uint32_t (&a)[kSteps][4],
                            const uint32_t* b) const {
    const uint64_t first = DescribeB(b);
    // All registers have their values before the fence, as it wants them to.
    Pin(acc);
    uint32_t own[kSteps][4];
    NEUMF_UNROLL
    for (uint32_t i = 0; i < 4 * kSteps; ++i) {
      own[i / 4][i % 4] = a[i / 4][i % 4];
      asm volatile("" : "+r"(own[i / 4][i % 4])::"memory");
    }
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
    NEUMF_UNROLL
    for (uint32_t s = 0; s < kSteps; ++s) {
      WideMmaStep(acc, own[s], first + s * (kOuts * kPairBytes / 16));
    }
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
    // The sums are there from here on: nothing that reads them may move up.
    Pin(acc);
  }
#else
  static constexpr bool kHasWideMma = false;
#endif

  NEUMF_DEVICE uint32_t AtomicAdd(uint32_t* counter, uint32_t value) const {
    return atomicAdd(counter, value);
  }
  NEUMF_DEVICE uint64_t AtomicAdd(uint64_t* counter, uint64_t value) const {
    using Word = unsigned long long;  // NOLINT(google-runtime-int): CUDA's
    static_assert(sizeof(Word) == sizeof(uint64_t));
    return atomicAdd(reinterpret_cast<Word*>(counter), Word{value});
  }
  NEUMF_DEVICE uint32_t AtomicMax(uint32_t* place, uint32_t value) const {
    return atomicMax(place, value);
  }

  // There is no add with ReLU; a * 1 is exact, so a fused multiply-add is one.
  NEUMF_DEVICE uint32_t AddRelu(uint32_t a, uint32_t b) const {
    constexpr uint32_t kOnes = 0x3C003C00;
    uint32_t sum;
    asm("fma.rn.relu.f16x2 %0, %1, %2, %3;"
        : "=r"(sum)
        : "r"(a), "r"(kOnes), "r"(b));
    return sum;
  }
  // The instruction's first operand goes to the upper half.
  NEUMF_DEVICE uint32_t PackRelu(float low, float high) const {
    uint32_t packed;
    asm("cvt.rn.relu.f16x2.f32 %0, %1, %2;"
        : "=r"(packed)
        : "f"(high), "f"(low));
    return packed;
  }
  NEUMF_DEVICE float Fma(float a, float b, float c) const {
    return __fmaf_rn(a, b, c);
  }

  NEUMF_DEVICE Words4 Load4(const Words4* words) const {
    const uint4 w = __ldg(reinterpret_cast<const uint4*>(words));
    return {{w.x, w.y, w.z, w.w}};
  }
  NEUMF_DEVICE Words2 Load2(const Words2* words) const {
    const uint2 w = __ldg(reinterpret_cast<const uint2*>(words));
    return {{w.x, w.y}};
  }

  NEUMF_DEVICE void Prefetch(const void* address) const {
    asm volatile("prefetch.global.L2 [%0];" ::"l"(address));
  }

 private:
  static constexpr uint32_t kWholeWarp = 0xFFFFFFFF;

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  // Nothing that writes the sums moves down past this, nothing that reads them
  // up.
  template <uint32_t kOuts>
  NEUMF_DEVICE static void Pin(float (&acc)[kOuts][4]) {
    NEUMF_UNROLL
    for (uint32_t n = 0; n < kOuts; ++n) {
      NEUMF_UNROLL
      for (uint32_t c = 0; c < 4; ++c) {
        asm volatile("" : "+f"(acc[n][c])::"memory");
      }
    }
  }

  // Two core matrices of 8 x 8 halves: both halves of a step's 16 rows.
  static constexpr uint32_t kPairBytes = 256;

  // The matrix descriptor (PTX ISA, "Asynchronous warpgroup level matrix shared
  // memory layout") of a B whose columns lie one after the other, not swizzled:
  // bits 0-13 the address, 16-29 the way to the core matrix of the next 8 rows,
  // 32-45 to that of the next 8 columns, all in units of 16 bytes.
  NEUMF_DEVICE static uint64_t DescribeB(const uint32_t* b) {
    constexpr uint64_t kNextRows = kPairBytes / 2 / 16;
    constexpr uint64_t kNextColumns = kPairBytes / 16;
    const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(b));
    return (address & 0x3FFFF) / 16 | kNextRows << 16 | kNextColumns << 32;
  }

  NEUMF_DEVICE static void WideMmaStep(float (&acc)[8][4],
                                       const uint32_t (&a)[4], uint64_t b) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, "
        " %8, %9, %10, %11, %12, %13, %14, %15, "
        " %16, %17, %18, %19, %20, %21, %22, %23, "
        " %24, %25, %26, %27, %28, %29, %30, %31}, "
        "{%32, %33, %34, %35}, %36, 1, 1, 1, 0;"
        : "+f"(acc[0][0]), "+f"(acc[0][1]), "+f"(acc[0][2]), "+f"(acc[0][3]),
          "+f"(acc[1][0]), "+f"(acc[1][1]), "+f"(acc[1][2]), "+f"(acc[1][3]),
          "+f"(acc[2][0]), "+f"(acc[2][1]), "+f"(acc[2][2]), "+f"(acc[2][3]),
          "+f"(acc[3][0]), "+f"(acc[3][1]), "+f"(acc[3][2]), "+f"(acc[3][3]),
          "+f"(acc[4][0]), "+f"(acc[4][1]), "+f"(acc[4][2]), "+f"(acc[4][3]),
          "+f"(acc[5][0]), "+f"(acc[5][1]), "+f"(acc[5][2]), "+f"(acc[5][3]),
          "+f"(acc[6][0]), "+f"(acc[6][1]), "+f"(acc[6][2]), "+f"(acc[6][3]),
          "+f"(acc[7][0]), "+f"(acc[7][1]), "+f"(acc[7][2]), "+f"(acc[7][3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
  }
  NEUMF_DEVICE static void WideMmaStep(float (&acc)[4][4],
                                       const uint32_t (&a)[4], uint64_t b) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, "
        " %8, %9, %10, %11, %12, %13, %14, %15}, "
        "{%16, %17, %18, %19}, %20, 1, 1, 1, 0;"
        : "+f"(acc[0][0]), "+f"(acc[0][1]), "+f"(acc[0][2]), "+f"(acc[0][3]),
          "+f"(acc[1][0]), "+f"(acc[1][1]), "+f"(acc[1][2]), "+f"(acc[1][3]),
          "+f"(acc[2][0]), "+f"(acc[2][1]), "+f"(acc[2][2]), "+f"(acc[2][3]),
          "+f"(acc[3][0]), "+f"(acc[3][1]), "+f"(acc[3][2]), "+f"(acc[3][3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
  }
  NEUMF_DEVICE static void WideMmaStep(float (&acc)[2][4],
                                       const uint32_t (&a)[4], uint64_t b) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7}, "
        "{%8, %9, %10, %11}, %12, 1, 1, 1, 0;"
        : "+f"(acc[0][0]), "+f"(acc[0][1]), "+f"(acc[0][2]), "+f"(acc[0][3]),
          "+f"(acc[1][0]), "+f"(acc[1][1]), "+f"(acc[1][2]), "+f"(acc[1][3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
  }
#endif
};

}  // namespace neumf::cuda
