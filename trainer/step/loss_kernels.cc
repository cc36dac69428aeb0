// Vectors without a fixed size (SVE) cannot be members.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
// Highway compiles what follows once for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "trainer/step/loss_kernels.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// Must come after foreach_target.h.
#include <algorithm>
#include <cmath>
#include <limits>

#include "hwy/highway.h"
#include "trainer/step/loss_kernels.h"

HWY_BEFORE_NAMESPACE();
namespace neumf::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::ScalableTag<float>;
using Vector = hn::Vec<Tag>;

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
// So many terms are summed in float32 before they go into a float64.
constexpr size_t kBlock = 512;

HWY_INLINE Vector Constant(float value) { return hn::Set(Tag(), value); }

// Whether there is a negative at all, lane by lane. NaN is one; Ne() says no of
// it on some machines.
HWY_INLINE hn::Mask<Tag> IsNegative(Vector score) {
  return hn::Not(hn::Eq(score, Constant(kMinusInfinity)));
}

// The first `count` < Lanes() numbers, then -infinity.
HWY_INLINE Vector LoadFirst(const float* from, size_t count) {
  constexpr Tag d;
#if HWY_MEM_OPS_MIGHT_FAULT
  HWY_ALIGN float padded[hn::MaxLanes(d)];
  hn::Store(Constant(kMinusInfinity), d, padded);
  for (size_t i = 0; i < count; ++i) padded[i] = from[i];
  return hn::Load(d, padded);
#else
  const auto mask = hn::FirstN(d, count);
  return hn::IfThenElse(mask, hn::MaskedLoad(mask, d, from),
                        Constant(kMinusInfinity));
#endif
}

HWY_INLINE void StoreFirst(Vector values, size_t count, float* to) {
  constexpr Tag d;
#if HWY_MEM_OPS_MIGHT_FAULT
  HWY_ALIGN float padded[hn::MaxLanes(d)];
  hn::Store(values, d, padded);
  for (size_t i = 0; i < count; ++i) to[i] = padded[i];
#else
  hn::BlendedStore(values, hn::FirstN(d, count), d, to);
#endif
}

// exp(x), within 2 units in the last place. REQUIRES: x <= 0 or NaN. Below -87
// it is 0, so that nothing is denormal. NaN stays NaN, which hwy/contrib/math
// turns into 0: a diverging run would look like one that has converged.
HWY_INLINE Vector ExpOfNegative(Vector x) {
  const hn::Rebind<uint32_t, Tag> bits;
  // Adding 1.5 * 2^23 rounds to an integer, in the lowest bits of the sum; with
  // the exponent's bias it is the exponent of a power of two.
  const Vector shifter = Constant(12582912.0F + 127.0F);
  const Vector shifted = hn::MulAdd(x, Constant(1.44269504F), shifter);
  const Vector power =
      hn::BitCast(Tag(), hn::ShiftLeft<23>(hn::BitCast(bits, shifted)));
  // x = n log 2 + r; log 2 as a sum whose first part times n is exact.
  const Vector n = hn::Sub(shifted, shifter);
  Vector r = hn::NegMulAdd(n, Constant(0.693359375F), x);
  r = hn::NegMulAdd(n, Constant(-2.12194440e-4F), r);
  // Minimax fit of exp(r) - 1 - r over |r| <= log(2) / 2, within 3e-9.
  Vector p = Constant(1.38145406e-3F);
  p = hn::MulAdd(p, r, Constant(8.36874545e-3F));
  p = hn::MulAdd(p, r, Constant(4.16683890e-2F));
  p = hn::MulAdd(p, r, Constant(1.66665211e-1F));
  p = hn::MulAdd(p, r, Constant(4.99999940e-1F));
  p = hn::Add(hn::MulAdd(p, hn::Mul(r, r), r), Constant(1));
  return hn::IfThenZeroElse(hn::Lt(x, Constant(-87)), hn::Mul(p, power));
}

struct ValueAndSlope {
  Vector value;
  Vector slope;
};

// log(1 + exp(x)), right to the last places at both ends.
struct Softplus {
  HWY_INLINE ValueAndSlope operator()(Vector x) const {
    const Vector zero = hn::Zero(Tag());
    const Vector y = ExpOfNegative(hn::Neg(hn::Abs(x)));
    const Vector one_more = hn::Add(y, Constant(1));
    const Vector two_more = hn::Add(y, Constant(2));
    // Both quotients, 1 / (1 + y) and 1 / (2 + y), by one division.
    const Vector quotient = hn::Div(Constant(1), hn::Mul(one_more, two_more));
    const Vector sigmoid = hn::Mul(quotient, two_more);  // of |x|
    // log(1 + y) = 2 atanh(z), z = y / (2 + y) <= 1/3; atanh(z) / z - 1 is fit
    // in z^2 within 5e-9.
    const Vector z = hn::Mul(y, hn::Mul(quotient, one_more));
    const Vector w = hn::Mul(z, z);
    Vector p = Constant(0.140063331F);
    p = hn::MulAdd(p, w, Constant(0.140008390F));
    p = hn::MulAdd(p, w, Constant(0.200107664F));
    p = hn::MulAdd(p, w, Constant(0.333332092F));
    const Vector half_log = hn::MulAdd(hn::Mul(p, w), z, z);
    // The order of Max() matters: of a NaN x86 gives the second operand.
    return {hn::MulAdd(half_log, Constant(2), hn::Max(zero, x)),
            hn::IfThenElse(hn::Gt(x, zero), sigmoid, hn::Mul(y, sigmoid))};
  }
};

struct Relu {
  HWY_INLINE ValueAndSlope operator()(Vector x) const {
    const Vector zero = hn::Zero(Tag());
    return {hn::Max(zero, x), hn::IfThenElseZero(hn::Gt(x, zero), Constant(1))};
  }
};

struct Square {
  HWY_INLINE ValueAndSlope operator()(Vector x) const {
    const auto finite = IsNegative(x);
    return {hn::IfThenElseZero(finite, hn::Mul(x, x)),
            hn::IfThenElseZero(finite, hn::Add(x, x))};
  }
};

// Calls body(first, vector) for the n numbers, the last ones filled up with
// -infinity, and body.Rest(first, vector, count) for those.
template <class Body>
HWY_INLINE void ForEachVector(const float* from, size_t n, Body& body) {
  constexpr Tag d;
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    body(i, hn::LoadU(d, from + i));
  }
  if (i < n) body.Rest(i, LoadFirst(from + i, n - i), n - i);
}

HWY_INLINE double LaneSum(Vector v) {
  return hn::GetLane(hn::SumOfLanes(Tag(), v));
}

HWY_INLINE size_t CountNegatives(const float* scores, size_t n) {
  constexpr Tag d;
  size_t count = 0;
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    count += hn::CountTrue(d, IsNegative(hn::LoadU(d, scores + i)));
  }
  if (i < n) {
    count += hn::CountTrue(d, IsNegative(LoadFirst(scores + i, n - i)));
  }
  return count;
}

template <class F>
struct TermLoop {
  const F& f;
  const Vector center;
  const Vector margin;
  const Vector scale;
  float* gradient;
  Vector values = hn::Zero(Tag());
  Vector slopes = hn::Zero(Tag());

  HWY_INLINE Vector Add(Vector score) {
    const ValueAndSlope at = f(hn::Add(hn::Sub(score, center), margin));
    values = hn::Add(values, at.value);
    slopes = hn::Add(slopes, at.slope);
    return hn::Mul(at.slope, scale);
  }
  HWY_INLINE void operator()(size_t first, Vector score) {
    hn::StoreU(Add(score), Tag(), gradient + first);
  }
  HWY_INLINE void Rest(size_t first, Vector score, size_t count) {
    StoreFirst(Add(score), count, gradient + first);
  }
};

template <class F>
HWY_INLINE TermSums SumTermsOf(const F& f, const TermSpec& spec,
                               const float* scores, size_t n, float* gradient) {
  TermSums sums;
  sums.count = CountNegatives(scores, n);
  const size_t num_terms = sums.count + spec.num_others;
  const float scale =
      num_terms == 0 ? 0.0F : spec.weight / static_cast<float>(num_terms);
  for (size_t begin = 0; begin < n; begin += kBlock) {
    float* const gradient_of_block = gradient + begin;
    TermLoop<F> loop{f, Constant(spec.center), Constant(spec.margin),
                     Constant(scale), gradient_of_block};
    ForEachVector(scores + begin, std::min(kBlock, n - begin), loop);
    sums.values += LaneSum(loop.values);
    sums.slopes += LaneSum(loop.slopes);
  }
  return sums;
}

}  // namespace

TermSums SumTermsOnTarget(const TermSpec& spec, const float* scores, size_t n,
                          float* gradient) {
  switch (spec.term) {
    case Term::kSoftplus:
      return SumTermsOf(Softplus(), spec, scores, n, gradient);
    case Term::kRelu:
      return SumTermsOf(Relu(), spec, scores, n, gradient);
    case Term::kSquare:
      break;
  }
  return SumTermsOf(Square(), spec, scores, n, gradient);
}

namespace {

// z_j, left in the gradient, and their maximum.
struct LogitLoop {
  const float* log_q;  // may be null
  const Vector positive;
  const Vector log_q_positive;
  const Vector inverse_temperature;
  float* gradient;
  Vector greatest = hn::Zero(Tag());  // the positive's

  HWY_INLINE Vector Logit(Vector score) const {
    return hn::Mul(hn::Sub(score, positive), inverse_temperature);
  }
  HWY_INLINE void operator()(size_t first, Vector score) {
    Vector z = Logit(score);
    if (log_q != nullptr) {
      z = hn::Sub(z, hn::Sub(hn::LoadU(Tag(), log_q + first), log_q_positive));
    }
    greatest = hn::Max(greatest, z);
    hn::StoreU(z, Tag(), gradient + first);
  }
  HWY_INLINE void Rest(size_t first, Vector score, size_t count) {
    Vector z = Logit(score);
    if (log_q != nullptr) {
      // What is filled up stays at -infinity, whatever is taken off it.
      const auto real = hn::FirstN(Tag(), count);
      const Vector q = hn::Sub(LoadFirst(log_q + first, count), log_q_positive);
      z = hn::Sub(z, hn::IfThenElseZero(real, q));
    }
    greatest = hn::Max(greatest, z);
    StoreFirst(z, count, gradient + first);
  }
};

// exp(z_j - greatest), left in the gradient, and their sum.
struct ExpLoop {
  const Vector greatest;
  float* gradient;
  Vector sum = hn::Zero(Tag());

  HWY_INLINE Vector Add(Vector z) {
    const Vector e = ExpOfNegative(hn::Sub(z, greatest));
    sum = hn::Add(sum, e);
    return e;
  }
  HWY_INLINE void operator()(size_t first, Vector z) {
    hn::StoreU(Add(z), Tag(), gradient + first);
  }
  HWY_INLINE void Rest(size_t first, Vector z, size_t count) {
    StoreFirst(Add(z), count, gradient + first);
  }
};

struct ScaleLoop {
  const Vector factor;
  float* gradient;

  HWY_INLINE void operator()(size_t first, Vector e) {
    hn::StoreU(hn::Mul(e, factor), Tag(), gradient + first);
  }
  HWY_INLINE void Rest(size_t first, Vector e, size_t count) {
    StoreFirst(hn::Mul(e, factor), count, gradient + first);
  }
};

}  // namespace

SoftmaxLoss ComputeSoftmaxOnTarget(const SoftmaxSpec& spec, const float* scores,
                                   const float* log_q, size_t n,
                                   float* gradient) {
  LogitLoop logits{log_q, Constant(spec.positive),
                   Constant(spec.log_q_positive),
                   Constant(spec.inverse_temperature), gradient};
  ForEachVector(scores, n, logits);
  const float greatest = hn::GetLane(hn::MaxOfLanes(Tag(), logits.greatest));

  double negatives = 0;  // the sum, less the positive's
  for (size_t begin = 0; begin < n; begin += kBlock) {
    ExpLoop exps{Constant(greatest), gradient + begin};
    ForEachVector(gradient + begin, std::min(kBlock, n - begin), exps);
    negatives += LaneSum(exps.sum);
  }

  // Of small losses log1p keeps the digits.
  const double positive = std::exp(-static_cast<double>(greatest));
  const double total = negatives + positive;
  SoftmaxLoss result;
  result.loss =
      greatest > 0 ? greatest + std::log(total) : std::log1p(negatives);
  result.d_positive =
      static_cast<float>(-spec.inverse_temperature * negatives / total);
  ScaleLoop scale{
      Constant(static_cast<float>(spec.inverse_temperature / total)), gradient};
  ForEachVector(gradient, n, scale);
  return result;
}

}  // namespace neumf::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace neumf {

HWY_EXPORT(SumTermsOnTarget);
HWY_EXPORT(ComputeSoftmaxOnTarget);

TermSums SumTerms(const TermSpec& spec, const float* scores, size_t n,
                  float* gradient) {
  return HWY_DYNAMIC_DISPATCH(SumTermsOnTarget)(spec, scores, n, gradient);
}

SoftmaxLoss ComputeSoftmax(const SoftmaxSpec& spec, const float* scores,
                           const float* log_q, size_t n, float* gradient) {
  return HWY_DYNAMIC_DISPATCH(ComputeSoftmaxOnTarget)(spec, scores, log_q, n,
                                                      gradient);
}

}  // namespace neumf
#endif  // HWY_ONCE
