#pragma once

// Kernels that measure a GPU, not a model: the yardsticks of the figures, and
// what its tensor cores do with sums.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/device/thread.h"

namespace neumf::cuda {

// Copies `count` words of 16 bytes.
struct CopyWords {
  static constexpr uint32_t kThreads = 512;
  static constexpr uint32_t kMinBlocks = 4;

  const Words4* from = nullptr;
  Words4* to = nullptr;
  uint64_t count = 0;

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    const uint64_t step = uint64_t{thread.num_blocks()} * kThreads;
    uint64_t i = uint64_t{thread.block()} * kThreads + thread.thread();
    // Several loads are under way before the first is used.
    for (; i + 3 * step < count; i += 4 * step) {
      Words4 four[4];
      NEUMF_UNROLL
      for (uint32_t j = 0; j < 4; ++j)
        four[j] = thread.Load4(&from[i + j * step]);
      NEUMF_UNROLL
      for (uint32_t j = 0; j < 4; ++j) to[i + j * step] = four[j];
    }
    for (; i < count; i += step) to[i] = thread.Load4(&from[i]);
  }
};

// Halves that neither vanish nor overflow, other ones in each lane: tensor cores
// are faster on zeros than on what models have.
NEUMF_HOST_DEVICE constexpr uint32_t ProbeWord(uint32_t i) {
  return 0x30003000 ^ (i * 0x9E3779B9 & 0x83FF83FF);
}

// Nothing but products on registers, in `kChains` sums at once.
struct MultiplyInRegisters {
  static constexpr uint32_t kThreads = 256;
  static constexpr uint32_t kMinBlocks = 2;
  static constexpr uint32_t kChains = 8;
  static constexpr double kMacsOfWarp = 16.0 * 8 * 16 * kChains;  // a step

  uint32_t steps = 0;
  float* sums = nullptr;  // [blocks * kThreads], so that nothing is left out

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    const uint32_t first = 64 * thread.lane();
    uint32_t a[4];
    NEUMF_UNROLL
    for (uint32_t i = 0; i < 4; ++i) a[i] = ProbeWord(first + i);
    uint32_t b[kChains][2];
    float acc[kChains][4] = {};
    NEUMF_UNROLL
    for (uint32_t c = 0; c < kChains; ++c) {
      b[c][0] = ProbeWord(first + 8 + 2 * c);
      b[c][1] = ProbeWord(first + 9 + 2 * c);
    }
    NEUMF_NO_UNROLL
    for (uint32_t s = 0; s < steps; ++s) {
      NEUMF_UNROLL
      for (uint32_t c = 0; c < kChains; ++c) thread.Mma16(acc[c], a, b[c]);
    }
    float sum = 0;
    NEUMF_UNROLL
    for (const auto& four : acc) sum += four[0] + four[1] + four[2] + four[3];
    sums[thread.block() * kThreads + thread.thread()] = sum;
  }
};

// The same for warpgroups, with b in shared memory; nothing where there is no
// such product.
struct MultiplyWide {
  static constexpr uint32_t kThreads = 384;
  static constexpr uint32_t kMinBlocks = 1;
  static constexpr uint32_t kOuts = 8;
  static constexpr uint32_t kSteps = 8;
  static constexpr uint32_t kWords = kSteps * kOuts * 2 * 8 * 4;
  static constexpr uint32_t kSharedBytes = kWords * sizeof(uint32_t);
  static constexpr double kMacsOfWarp = 16.0 * 8 * kOuts * 16 * kSteps;

  uint32_t steps = 0;
  float* sums = nullptr;  // [blocks * kThreads]

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    if constexpr (Thread::kHasWideMma) {
      auto* const b = reinterpret_cast<uint32_t*>(thread.shared());
      for (uint32_t i = thread.thread(); i < kWords; i += kThreads) {
        b[i] = ProbeWord(i);
      }
      thread.PublishShared();
      thread.SyncBlock();
      uint32_t a[kSteps][4];
      NEUMF_UNROLL
      for (uint32_t i = 0; i < 4 * kSteps; ++i) {
        a[i / 4][i % 4] = ProbeWord(64 * thread.lane() + i);
      }
      float acc[kOuts][4] = {};
      NEUMF_NO_UNROLL
      for (uint32_t s = 0; s < steps; ++s) thread.WideMma(acc, a, b);
      float sum = 0;
      NEUMF_UNROLL
      for (const auto& four : acc) sum += four[0] + four[3];
      sums[thread.block() * kThreads + thread.thread()] = sum;
    }
  }
};

// ---- One product a problem, for rounding_trials.h ---------------------------

// Each of `count` problems, a warp's; k is 8 kWords / 2.
template <uint32_t kWords>  // of A a lane: 4 for Mma16, 2 for Mma8
struct MultiplyOnce {
  static constexpr uint32_t kThreads = 128;
  static constexpr uint32_t kMinBlocks = 1;

  uint32_t count = 0;
  const uint32_t* a = nullptr;  // [count, 32 lanes, kWords]
  const uint32_t* b = nullptr;  // [count, 32 lanes, kWords / 2]
  float* acc = nullptr;         // [count, 32 lanes, 4]

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    constexpr uint32_t kWarps = kThreads / kLanes;
    const uint32_t step = thread.num_blocks() * kWarps;
    for (uint32_t p = thread.block() * kWarps + thread.warp(); p < count;
         p += step) {
      const uint32_t place = p * kLanes + thread.lane();
      uint32_t left[kWords];
      uint32_t right[kWords / 2];
      float sums[4];
      for (uint32_t i = 0; i < kWords; ++i) left[i] = a[place * kWords + i];
      for (uint32_t i = 0; i < kWords / 2; ++i) {
        right[i] = b[place * (kWords / 2) + i];
      }
      for (uint32_t i = 0; i < 4; ++i) sums[i] = acc[place * 4 + i];
      if constexpr (kWords == 4) {
        thread.Mma16(sums, left, right);
      } else {
        thread.Mma8(sums, left, right[0]);
      }
      for (uint32_t i = 0; i < 4; ++i) acc[place * 4 + i] = sums[i];
    }
  }
};

// The same for the 64 rows and 16 columns of a warpgroup, which is the block.
// Leaves the sums as they are where there is no such product.
struct MultiplyOnceWide {
  static constexpr uint32_t kThreads = 128;
  static constexpr uint32_t kMinBlocks = 1;
  static constexpr uint32_t kOuts = 2;
  static constexpr uint32_t kWordsOfB = kOuts * 2 * 8 * 4;
  static constexpr uint32_t kSharedBytes = kWordsOfB * sizeof(uint32_t);

  uint32_t count = 0;
  const uint32_t* a = nullptr;  // [count, 4 warps, 32 lanes, 4]
  const uint32_t* b = nullptr;  // [count, kOuts, 2, 8 columns, 4]
  float* acc = nullptr;         // [count, 4 warps, kOuts, 32 lanes, 4]

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    if constexpr (Thread::kHasWideMma) {
      auto* const shared = reinterpret_cast<uint32_t*>(thread.shared());
      for (uint32_t p = thread.block(); p < count; p += thread.num_blocks()) {
        thread.SyncBlock();  // with what was there
        shared[thread.thread()] = b[p * kWordsOfB + thread.thread()];
        thread.PublishShared();
        thread.SyncBlock();
        const uint32_t tile = p * (kThreads / kLanes) + thread.warp();
        uint32_t left[1][4];
        float sums[kOuts][4];
        NEUMF_UNROLL
        for (uint32_t i = 0; i < 4; ++i) {
          left[0][i] = a[(tile * kLanes + thread.lane()) * 4 + i];
        }
        NEUMF_UNROLL
        for (uint32_t i = 0; i < 4 * kOuts; ++i) {
          sums[i / 4][i % 4] = acc[Place(tile, i / 4, thread.lane()) + i % 4];
        }
        thread.WideMma(sums, left, shared);
        NEUMF_UNROLL
        for (uint32_t i = 0; i < 4 * kOuts; ++i) {
          acc[Place(tile, i / 4, thread.lane()) + i % 4] = sums[i / 4][i % 4];
        }
      }
    }
  }

 private:
  static_assert(kWordsOfB == kThreads);

  NEUMF_DEVICE static uint32_t Place(uint32_t tile, uint32_t out,
                                     uint32_t lane) {
    return ((tile * kOuts + out) * kLanes + lane) * 4;
  }
};

}  // namespace neumf::cuda

// NEUMF_PROBE_KERNELS(X) is X(kernel) of every one.
#define NEUMF_PROBE_KERNELS(X) \
  X(CopyWords)                 \
  X(MultiplyInRegisters)       \
  X(MultiplyWide)              \
  X(MultiplyOnce<4>)           \
  X(MultiplyOnce<2>)           \
  X(MultiplyOnceWide)
