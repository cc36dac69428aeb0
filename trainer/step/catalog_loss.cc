// Highway compiles what follows once for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "trainer/step/catalog_loss.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// Must come after foreach_target.h.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/logging.h"
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "trainer/step/catalog_loss.h"
#include "trainer/step/loss_kernels.h"

HWY_BEFORE_NAMESPACE();
namespace neumf {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Below this exp() is 0 in float32, and Highway's is not defined much further.
constexpr float kLeastExponent = -80.0F;
constexpr float kMasked = -std::numeric_limits<float>::infinity();

HWY_INLINE float LargestOf(const float* x, size_t count) {
  float largest = kMasked;
#pragma omp simd reduction(max : largest)
  for (size_t i = 0; i < count; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

// y[i] = exp(scale * (x[i] - largest)), 0 far below; returns their sum. The
// order of the sum depends on the width of the vectors, hence on the machine,
// not on threads.
HWY_ATTR float Exponentials(const float* x, size_t count, float largest,
                            float scale, float* y) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  const auto top = hn::Set(d, largest);
  const auto factor = hn::Set(d, scale);
  const auto least = hn::Set(d, kLeastExponent);
  auto sum = hn::Zero(d);
  const auto exponential = [&](auto value) HWY_ATTR {
    const auto exponent = hn::Mul(factor, hn::Sub(value, top));
    const auto result = hn::IfThenElseZero(
        hn::Gt(exponent, least), hn::Exp(d, hn::Max(exponent, least)));
    // What is no number stays none: a run that diverges should show.
    return hn::IfThenElse(hn::IsNaN(exponent), exponent, result);
  };
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto e = exponential(hn::LoadU(d, x + i));
    hn::StoreU(e, d, y + i);
    sum = hn::Add(sum, e);
  }
  float total = hn::GetLane(hn::SumOfLanes(d, sum));
  for (; i < count; ++i) {
    const float e = hn::GetLane(exponential(hn::Set(d, x[i])));
    y[i] = e;
    total += e;
  }
  return total;
}

size_t CountTakingPartImpl(const float* scores, size_t count) {
  size_t masked = 0;
#pragma omp simd reduction(+ : masked)
  for (size_t i = 0; i < count; ++i) masked += scores[i] == kMasked ? 1 : 0;
  return count - masked;
}

double SoftmaxImpl(const float* scores, size_t count, float inverse_temperature,
                   float total_weight, float* gradient) {
  const float largest = LargestOf(scores, count);
  if (largest == kMasked) {
    std::fill_n(gradient, count, 0.0F);
    return CountTakingPartImpl(scores, count) == 0 ? 0.0 : std::nan("");
  }
  const float sum =
      Exponentials(scores, count, largest, inverse_temperature, gradient);
  const float factor = total_weight * inverse_temperature / sum;
#pragma omp simd
  for (size_t i = 0; i < count; ++i) gradient[i] *= factor;
  return double{total_weight} * (double{inverse_temperature} * double{largest} +
                                 std::log(double{sum}));
}

}  // namespace HWY_NAMESPACE
}  // namespace neumf
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace neumf {

HWY_EXPORT(SoftmaxImpl);
HWY_EXPORT(CountTakingPartImpl);

namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

double SoftPlus(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

double Sigmoid(double x) {
  return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
}

// A term of the loss with its derivative by the score.
struct Point {
  double loss = 0;
  double slope = 0;
};

Point TargetAt(LossKind kind, double score) {
  if (kind == LossKind::kBce) return {SoftPlus(-score), -Sigmoid(-score)};
  return {(1 - score) * (1 - score), -2 * (1 - score)};
}

// Of all but the targets, for bce and square.
double ComputeOthers(const LossOptions& options, absl::Span<const float> scores,
                     absl::Span<const uint32_t> targets, float* gradient) {
  thread_local std::vector<float> others;  // without the targets
  others.assign(scores.begin(), scores.end());
  for (const uint32_t target : targets) others[target] = kMasked;
  const auto count = static_cast<double>(
      HWY_DYNAMIC_DISPATCH(CountTakingPartImpl)(others.data(), others.size()));
  TermSpec spec;
  spec.term = options.kind == LossKind::kBce ? Term::kSoftplus : Term::kSquare;
  // SumTerms() makes a mean of them; here they are a sum.
  spec.weight = static_cast<float>(options.negative_weight * count);
  return options.negative_weight *
         SumTerms(spec, others.data(), others.size(), gradient).values;
}

}  // namespace

bool IsCatalogLoss(LossKind kind) {
  return kind == LossKind::kSoftmax || kind == LossKind::kBce ||
         kind == LossKind::kSquare;
}

CatalogLoss::CatalogLoss(const LossOptions& options) : options_(options) {
  NEUMF_CHECK(IsCatalogLoss(options.kind));
}

double CatalogLoss::Compute(const float* scores, size_t num_candidates,
                            absl::Span<const uint32_t> targets,
                            absl::Span<const float> weights,
                            float* gradient) const {
  if (options_.kind == LossKind::kSoftmax) {
    float total = 0;
    for (float weight : weights) total += weight;
    const auto inverse = static_cast<float>(1 / options_.temperature);
    double loss = HWY_DYNAMIC_DISPATCH(SoftmaxImpl)(scores, num_candidates,
                                                    inverse, total, gradient);
    for (size_t t = 0; t < targets.size(); ++t) {
      gradient[targets[t]] -= weights[t] * inverse;
      loss -= double{weights[t]} * double{inverse} * double{scores[targets[t]]};
    }
    return loss;
  }
  double loss =
      ComputeOthers(options_, {scores, num_candidates}, targets, gradient);
  for (size_t t = 0; t < targets.size(); ++t) {
    const Point at = TargetAt(options_.kind, double{scores[targets[t]]});
    loss += double{weights[t]} * at.loss;
    gradient[targets[t]] = static_cast<float>(double{weights[t]} * at.slope);
  }
  return loss;
}

}  // namespace neumf
#endif  // HWY_ONCE
