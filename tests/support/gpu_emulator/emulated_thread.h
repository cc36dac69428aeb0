#pragma once

// thread.h's Thread on the CPU: a fiber, which stops at whatever its warp or
// block does together until the scheduler (run_grid.cc) has brought all others
// there.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "scoring/cuda/device/half.h"
#include "scoring/cuda/device/thread.h"
#include "tests/support/gpu_emulator/fiber.h"

namespace neumf::cuda {

// What a thread stopped for: the operation, its operands, and where it stands in
// the source, as threads that meet must be at the same place.
struct Operation {
  enum class Kind {
    kRunning,  // it has not stopped yet
    kSyncBlock,
    kSyncWarp,
    kAnyInWarp,
    kBallot,
    kShuffle,
    kMma16,
    kMma8,
    kWideMma,
    kMisaligned,  // a fault of this thread alone
    kEnd,         // of the kernel
  };
  Kind kind = Kind::kRunning;
  const char* file = "";
  int line = 0;

  uint32_t value = 0;  // this lane's, replaced by the result; words of a wide b
  uint32_t lane = 0;   // of a shuffle
  float* acc = nullptr;
  const uint32_t* a = nullptr;
  const uint32_t* b = nullptr;
};

// The last two parameters of what threads do together are the place of the call.
class EmulatedThread {
 public:
  static constexpr uint32_t kLanes = cuda::kLanes;

  struct Position {
    uint32_t block = 0;
    uint32_t num_blocks = 0;
    uint32_t thread = 0;
    std::byte* shared = nullptr;
  };
  EmulatedThread(const Position& position, Fiber& fiber)
      : position_(position), fiber_(fiber) {}

  uint32_t block() const { return position_.block; }
  uint32_t num_blocks() const { return position_.num_blocks; }
  uint32_t thread() const { return position_.thread; }
  uint32_t lane() const { return position_.thread % kLanes; }
  uint32_t warp() const { return position_.thread / kLanes; }
  std::byte* shared() const { return position_.shared; }

  void SyncBlock(const char* file = __builtin_FILE(),
                 int line = __builtin_LINE()) {
    Meet(Operation::Kind::kSyncBlock, file, line);
  }
  void SyncWarp(const char* file = __builtin_FILE(),
                int line = __builtin_LINE()) {
    Meet(Operation::Kind::kSyncWarp, file, line);
  }
  bool AnyInWarp(bool value, const char* file = __builtin_FILE(),
                 int line = __builtin_LINE()) {
    operation_.value = value ? 1 : 0;
    Meet(Operation::Kind::kAnyInWarp, file, line);
    return operation_.value != 0;
  }
  uint32_t Ballot(bool value, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) {
    operation_.value = value ? 1 : 0;
    Meet(Operation::Kind::kBallot, file, line);
    return operation_.value;
  }
  uint32_t Shuffle(uint32_t value, uint32_t lane,
                   const char* file = __builtin_FILE(),
                   int line = __builtin_LINE()) {
    operation_.value = value;
    operation_.lane = lane;
    Meet(Operation::Kind::kShuffle, file, line);
    return operation_.value;
  }
  void Mma16(float (&acc)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
             const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    operation_.acc = acc;
    operation_.a = a;
    operation_.b = b;
    Meet(Operation::Kind::kMma16, file, line);
  }
  void Mma16(float (&acc)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
             const float (&start)[4], const char* file = __builtin_FILE(),
             int line = __builtin_LINE()) {
    std::copy(start, start + 4, acc);
    Mma16(acc, a, b, file, line);
  }
  void Mma8(float (&acc)[4], const uint32_t (&a)[2], uint32_t b,
            const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    operation_.acc = acc;
    operation_.a = a;
    operation_.b = &b;
    Meet(Operation::Kind::kMma8, file, line);
  }

  // The warpgroup meets, and then each of its warps multiplies by itself: a word
  // of all lanes' B fragments is a core matrix, 8 columns of 8 halves.
  static constexpr bool kHasWideMma = true;
  void PublishShared() { published_ = true; }
  template <uint32_t kOuts, uint32_t kSteps>
  void WideMma(float (&acc)[kOuts][4], const uint32_t (&a)[kSteps][4],
               const uint32_t* b, const char* file = __builtin_FILE(),
               int line = __builtin_LINE()) {
    operation_.b = b;
    operation_.value = kSteps * kOuts * 2 * kLanes;
    Meet(Operation::Kind::kWideMma, file, line);
    for (uint32_t s = 0; s < kSteps; ++s) {
      for (uint32_t n = 0; n < kOuts; ++n) {
        const uint32_t* const pair =
            b + uint64_t{s * kOuts + n} * 2 * kLanes + lane();
        Mma16(acc[n], a[s], {pair[0], pair[kLanes]}, file, line);
      }
    }
  }

  // NOLINTBEGIN(readability-convert-member-functions-to-static): as of a GPU's.
  uint32_t AtomicAdd(uint32_t* counter, uint32_t value) {
    const uint32_t before = *counter;
    *counter += value;
    return before;
  }
  uint64_t AtomicAdd(uint64_t* counter, uint64_t value) {
    const uint64_t before = *counter;
    *counter += value;
    return before;
  }
  uint32_t AtomicMax(uint32_t* place, uint32_t value) {
    const uint32_t before = *place;
    if (before < value) *place = value;
    return before;
  }

  // The sum of two halves as a float, rounded once more to a half, is the half
  // next to the exact sum: a float has more than twice a half's bits, and two.
  uint32_t AddRelu(uint32_t a, uint32_t b) {
    return PackRelu(LowHalf(a) + LowHalf(b), HighHalf(a) + HighHalf(b));
  }
  uint32_t PackRelu(float low, float high) {
    return PackHalves(Relu(low), Relu(high));
  }
  float Fma(float a, float b, float c) { return std::fma(a, b, c); }

  Words4 Load4(const Words4* words, const char* file = __builtin_FILE(),
               int line = __builtin_LINE()) {
    return Load(words, file, line);
  }
  Words2 Load2(const Words2* words, const char* file = __builtin_FILE(),
               int line = __builtin_LINE()) {
    return Load(words, file, line);
  }

  // A byte is read, so that sanitizers see an address that is none.
  void Prefetch(const void* address) {
    static_cast<void>(*static_cast<const volatile std::byte*>(address));
  }
  // NOLINTEND(readability-convert-member-functions-to-static)

  // For the scheduler.
  Operation& operation() { return operation_; }
  // Whether it called PublishShared() since this was asked last.
  bool TakePublished() { return std::exchange(published_, false); }

 private:
  // A NaN stays.
  static float Relu(float value) { return value <= 0 ? 0 : value; }

  template <typename Words>
  Words Load(const Words* words, const char* file, int line) {
    if (reinterpret_cast<uintptr_t>(words) % alignof(Words) != 0) {
      Meet(Operation::Kind::kMisaligned, file, line);
    }
    return *words;
  }

  void Meet(Operation::Kind kind, const char* file, int line) {
    operation_.kind = kind;
    operation_.file = file;
    operation_.line = line;
    fiber_.Yield();
  }

  const Position position_;
  Fiber& fiber_;
  Operation operation_;
  bool published_ = false;
};

}  // namespace neumf::cuda
