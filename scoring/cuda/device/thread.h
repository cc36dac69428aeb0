#pragma once

// The machine as one thread of a kernel sees it: the one seam between kernels
// and GPU.
//
// A kernel is a struct of arguments with a template
//
//   template <typename Thread> NEUMF_DEVICE void operator()(Thread& thread) const;
//
// and two constants, kThreads (of a block, a multiple of 32) and kMinBlocks (of
// them on a multiprocessor at once; what the compiler may spend in registers).
// Two types stand for Thread: CudaThread (cuda_thread.cuh), whose methods are
// single instructions, and the emulator's of the tests, which runs a block's
// threads in turns and computes what a warp does together from its definition.
// Both have
//
//   uint32_t block(), num_blocks(), thread(), lane(), warp();   // of the block
//   static constexpr uint32_t kLanes = 32;
//   std::byte* shared();              // dynamic shared memory, 16-byte aligned
//
//   // By all threads of a block, or all lanes of a warp; none may be missing.
//   void SyncBlock();
//   void SyncWarp();
//   bool AnyInWarp(bool value);
//   uint32_t Ballot(bool value);      // bit l is lane l's value
//   uint32_t Shuffle(uint32_t value, uint32_t lane);   // that lane's value
//   // acc [16, 8] += a [16, 16 or 8] b [16 or 8, 8], halves with float32 sums;
//   // who holds what: fragments.h. The sums are not those of IEEE arithmetic.
//   void Mma16(float (&acc)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
//   // The same, but acc = start + a b.
//   void Mma16(float (&acc)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
//              const float (&start)[4]);
//   void Mma8(float (&acc)[4], const uint32_t (&a)[2], uint32_t b);
//
//   // By the four warps of a warpgroup (warps 4 w .. 4 w + 3 of a block), where
//   // kHasWideMma says that there is such a thing: acc [64, 8 kOuts] += a [64,
//   // 16 kSteps] b [16 kSteps, 8 kOuts], kOuts being 2, 4 or 8. Of acc and a
//   // each warp holds 16 rows, as of Mma16, of acc one fragment for each 8
//   // columns. b lies in shared memory as core matrices: [kSteps, kOuts, 2 halves
//   // of a step, 8 columns, 8 rows] halves; after its last change, each thread
//   // that wrote there calls PublishShared(), then all SyncBlock().
//   static constexpr bool kHasWideMma;
//   template <uint32_t kOuts, uint32_t kSteps>
//   void WideMma(float (&acc)[kOuts][4], const uint32_t (&a)[kSteps][4],
//                const uint32_t* b);
//   void PublishShared();
//
//   // By any thread alone.
//   uint32_t AtomicAdd(uint32_t* counter, uint32_t value);  // the value before
//   uint64_t AtomicAdd(uint64_t* counter, uint64_t value);
//   uint32_t AtomicMax(uint32_t* place, uint32_t value);
//   // Of two pairs of halves: max(a + b, 0), each sum rounded once; a NaN
//   // stays one.
//   uint32_t AddRelu(uint32_t a, uint32_t b);
//   // Two float32 as halves, `low` in the low bits: max(x, 0), rounded to the
//   // nearest; a NaN stays one.
//   uint32_t PackRelu(float low, float high);
//   float Fma(float a, float b, float c);     // rounded once
//   // Through the read-only cache: of memory that no kernel writes meanwhile.
//   Words4 Load4(const Words4* words);
//   Words2 Load2(const Words2* words);
//   // Has the cache line of device memory at `address` brought into the second
//   // level cache; nothing waits.
//   void Prefetch(const void* address);
//
// Memory is reached through plain pointers. What one thread writes and another
// of its block reads must have a SyncBlock() between, of its warp a SyncWarp().

#include <cstddef>
#include <cstdint>

namespace neumf::cuda {

constexpr uint32_t kLanes = 32;

struct alignas(16) Words4 {
  uint32_t w[4];
};
struct alignas(8) Words2 {
  uint32_t w[2];
};

// How a kernel is started.
struct Grid {
  uint32_t blocks = 1;
  uint32_t shared_bytes = 0;  // dynamic, of each block
};

}  // namespace neumf::cuda
