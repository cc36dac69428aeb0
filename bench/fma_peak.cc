#include "bench/fma_peak.h"

#include <cstdint>
#include <cstring>

#include "base/logging.h"

// The instruction sets of scoring/cpu/block_kernel.cc.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/fma_peak.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace neumf {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Two pipes with a latency of 4 need 8 sums in flight; more than 12 and the two
// factors would not fit 16 registers.
constexpr size_t kSums = 12;

// Computes `steps` steps and returns what the sums come to.
float RunSteps(size_t steps, float factor, float term) {
  constexpr hn::CappedTag<float, 16> kTag;
  using Vector = hn::Vec<decltype(kTag)>;
  const Vector a = hn::Set(kTag, factor);
  const Vector b = hn::Set(kTag, term);
  Vector sums[kSums];
  HWY_UNROLL(12)
  for (size_t i = 0; i < kSums; ++i) sums[i] = hn::Iota(kTag, float(i));
  for (size_t step = 0; step < steps; ++step) {
    HWY_UNROLL(12)
    for (size_t i = 0; i < kSums; ++i) sums[i] = hn::MulAdd(sums[i], a, b);
  }
  Vector total = hn::Zero(kTag);
  HWY_UNROLL(12)
  for (size_t i = 0; i < kSums; ++i) total = hn::Add(total, sums[i]);
  return hn::GetLane(hn::SumOfLanes(kTag, total));
}

const FmaLoop* FindFmaLoop() {
  static const FmaLoop kLoop = {
      hwy::TargetName(HWY_TARGET),
      kSums * hn::Lanes(hn::CappedTag<float, 16>()),
      &RunSteps,
  };
  return &kLoop;
}

}  // namespace HWY_NAMESPACE
}  // namespace neumf
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace neumf {

HWY_EXPORT(FindFmaLoop);

namespace {

// About a third of a millisecond, so that threads share the pieces evenly.
constexpr size_t kStepsPerPiece = 150'000;
constexpr size_t kPiecesPerThread = 12;
constexpr size_t kCopyBytes = 64 << 20;
constexpr size_t kCopyPieceBytes = 1 << 20;
constexpr size_t kCopyPieceFloats = kCopyPieceBytes / sizeof(float);

}  // namespace

FmaProbe::FmaProbe(size_t num_threads)
    : threads_(num_threads, "bench-fma"),
      results_(num_threads * kPiecesPerThread) {}

void FmaProbe::Run() {
  const FmaLoop* const loop = HWY_DYNAMIC_DISPATCH(FindFmaLoop)();
  // The sums approach 2: neither overflow nor denormal numbers on the way.
  threads_.ParallelFor(results_.size(), [&](size_t index, size_t /*thread*/) {
    results_[index] = loop->run(kStepsPerPiece, 0.5F, 1.0F);
  });
  NEUMF_CHECK(results_.front() > 0);
}

double FmaProbe::macs_per_run() const {
  return static_cast<double>(
      results_.size() * kStepsPerPiece *
      HWY_DYNAMIC_DISPATCH(FindFmaLoop)()->macs_per_step);
}

const char* FmaProbe::target() {
  return HWY_DYNAMIC_DISPATCH(FindFmaLoop)()->target;
}

CopyProbe::CopyProbe(size_t num_threads)
    : threads_(num_threads, "bench-copy"),
      from_(kCopyBytes / sizeof(float)),
      to_(kCopyBytes / sizeof(float)) {
  std::memset(from_.data(), 1, kCopyBytes);  // else all pages are one zero page
}

void CopyProbe::Run() {
  threads_.ParallelFor(
      kCopyBytes / kCopyPieceBytes, [&](size_t index, size_t /*thread*/) {
        std::memcpy(to_.data() + index * kCopyPieceFloats,
                    from_.data() + index * kCopyPieceFloats, kCopyPieceBytes);
      });
}

double CopyProbe::bytes_per_run() const { return 2.0 * kCopyBytes; }

}  // namespace neumf
#endif  // HWY_ONCE
