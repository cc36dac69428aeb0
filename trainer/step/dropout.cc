// Highway compiles what follows once for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "trainer/step/dropout.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// Must come after foreach_target.h.
#include <algorithm>

#include "base/split_mix64.h"
#include "hwy/highway.h"
#include "trainer/step/dropout.h"

HWY_BEFORE_NAMESPACE();
namespace neumf {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// What one pass needs to know.
struct MaskRule {
  uint32_t key0 = 0;
  uint32_t key1 = 0;
  int32_t threshold = 0;  // of 24 bits: smaller ones are dropped
  float scale = 1;
};

// 24 bits from each place: a multiplicative hash of 32 bits whose two rounds
// take a key each.
template <class D>
HWY_INLINE hn::Vec<hn::RebindToSigned<D>> BitsOf(D d, const MaskRule& rule,
                                                 hn::Vec<D> place) {
  auto x =
      hn::Xor(hn::Mul(place, hn::Set(d, 0x9E3779B9U)), hn::Set(d, rule.key0));
  x = hn::Xor(x, hn::ShiftRight<16>(x));
  x = hn::Add(hn::Mul(x, hn::Set(d, 0x7FEB352DU)), hn::Set(d, rule.key1));
  x = hn::Xor(x, hn::ShiftRight<15>(x));
  x = hn::Mul(x, hn::Set(d, 0x846CA68BU));
  x = hn::Xor(x, hn::ShiftRight<16>(x));
  return hn::BitCast(hn::RebindToSigned<D>(), hn::ShiftRight<8>(x));
}

// Whole vectors of x from place `first` on; returns how many numbers that were.
template <class DF>
HWY_INLINE size_t DropVectors(DF df, const MaskRule& rule, uint32_t first,
                              size_t count, float* x) {
  const hn::RebindToUnsigned<DF> du;
  const hn::RebindToSigned<DF> di;
  const size_t lanes = hn::Lanes(df);
  const auto threshold = hn::Set(di, rule.threshold);
  const auto scale = hn::Set(df, rule.scale);
  const auto step = hn::Set(du, static_cast<uint32_t>(lanes));
  auto places = hn::Iota(du, first);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto is_dropped = hn::Lt(BitsOf(du, rule, places), threshold);
    const auto kept = hn::Mul(hn::LoadU(df, x + i), scale);
    hn::StoreU(hn::IfThenZeroElse(hn::RebindMask(df, is_dropped), kept), df,
               x + i);
    places = hn::Add(places, step);
  }
  return i;
}

void DropImpl(uint32_t key0, uint32_t key1, double rate, uint32_t first,
              size_t count, float* x) {
  constexpr double kRange = 1 << 24;
  const MaskRule rule = {key0, key1, static_cast<int32_t>(rate * kRange),
                         static_cast<float>(1 / (1 - rate))};
  const hn::ScalableTag<float> whole;
  const hn::CappedTag<float, 1> one;
  const size_t done = DropVectors(whole, rule, first, count, x);
  DropVectors(one, rule, first + static_cast<uint32_t>(done), count - done,
              x + done);
}

}  // namespace HWY_NAMESPACE
}  // namespace neumf
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace neumf {

HWY_EXPORT(DropImpl);

void ApplyDropout(double rate, uint64_t seed, uint64_t first, size_t count,
                  float* x) {
  if (rate <= 0) return;
  constexpr uint64_t kPlacesAKey = uint64_t{1} << 32;
  const uint64_t base = SplitMix64(seed + kSplitMix64Step);
  while (count > 0) {
    const uint64_t low = first % kPlacesAKey;
    const size_t size = std::min<uint64_t>(count, kPlacesAKey - low);
    const uint64_t keys =
        SplitMix64(base + first / kPlacesAKey * kSplitMix64Step);
    HWY_DYNAMIC_DISPATCH(DropImpl)
    (static_cast<uint32_t>(keys), static_cast<uint32_t>(keys >> 32), rate,
     static_cast<uint32_t>(low), size, x);
    first += size;
    count -= size;
    x += size;
  }
}

}  // namespace neumf
#endif  // HWY_ONCE
