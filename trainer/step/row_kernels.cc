// Highway compiles what follows once for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "trainer/step/row_kernels.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// Must come after foreach_target.h.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "hwy/cache_control.h"
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "trainer/step/row_kernels.h"

HWY_BEFORE_NAMESPACE();
namespace neumf {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

constexpr float kLeastNorm = 1e-12F;

HWY_INLINE float Dot(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b,
                     size_t width) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (size_t c = 0; c < width; ++c) sum += a[c] * b[c];
  return sum;
}

HWY_INLINE void Axpy(float factor, const float* HWY_RESTRICT x, size_t count,
                     float* HWY_RESTRICT y) {
#pragma omp simd
  for (size_t c = 0; c < count; ++c) y[c] += factor * x[c];
}

HWY_INLINE void Scale(float factor, const float* HWY_RESTRICT x, size_t count,
                      float* HWY_RESTRICT y) {
#pragma omp simd
  for (size_t c = 0; c < count; ++c) y[c] = factor * x[c];
}

void MultiplyRowsImpl(const float* a, const float* b, size_t rows, size_t width,
                      float* out) {
  for (size_t r = 0; r < rows; ++r, a += width, out += width) {
#pragma omp simd
    for (size_t c = 0; c < width; ++c) out[c] = a[c] * b[c];
  }
}

void AddProductScoresImpl(const float* user, const float* item, size_t groups,
                          size_t group_size, size_t width, float* scores) {
  for (size_t g = 0; g < groups; ++g, user += width) {
    for (size_t n = 0; n < group_size; ++n, item += width) {
      *scores++ += Dot(user, item, width);
    }
  }
}

void ProductGradientImpl(const float* user, const float* item,
                         const float* d_scores, size_t groups,
                         size_t group_size, size_t width, float* d_user,
                         float* d_item) {
  std::fill(d_user, d_user + groups * width, 0.0F);
  for (size_t g = 0; g < groups; ++g, user += width, d_user += width) {
    for (size_t n = 0; n < group_size; ++n) {
      const float d = *d_scores++;
      Axpy(d, item, width, d_user);
      Scale(d, user, width, d_item);
      item += width;
      d_item += width;
    }
  }
}

// Calls body(d, c) for pieces of the columns that begin at c and are as wide as
// the tag's vectors.
template <class Body>
HWY_INLINE void ForColumns(size_t width, const Body& body) {
  const hn::ScalableTag<float> whole;
  const hn::CappedTag<float, 8> eight;
  const hn::CappedTag<float, 1> one;
  size_t c = 0;
  for (; c + hn::Lanes(whole) <= width; c += hn::Lanes(whole)) body(whole, c);
  for (; c + hn::Lanes(eight) <= width; c += hn::Lanes(eight)) body(eight, c);
  for (; c < width; ++c) body(one, c);
}

template <class Act>
HWY_INLINE void MapInPlace(const Act& act, size_t count, float* x) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(act(d, hn::LoadU(d, x + i)), d, x + i);
  }
  if (i == count) return;
  HWY_ALIGN float rest[HWY_MAX_BYTES / sizeof(float)] = {};
  std::memcpy(rest, x + i, (count - i) * sizeof(float));
  hn::Store(act(d, hn::Load(d, rest)), d, rest);
  std::memcpy(x + i, rest, (count - i) * sizeof(float));
}

struct TanhOf {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return hn::Tanh(d, x);
  }
};

// sigmoid(x) = (1 + tanh(x / 2)) / 2.
struct SigmoidOf {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    const V half = hn::Set(d, 0.5F);
    return hn::MulAdd(half, hn::Tanh(d, hn::Mul(half, x)), half);
  }
};

void ShiftAndActivateImpl(const float* from, const float* shift, size_t groups,
                          size_t group_size, size_t width,
                          Activation activation, float* x) {
  float* const first = x;
  const bool is_relu = activation == Activation::kRelu;
  for (size_t g = 0; g < groups; ++g, shift += width) {
    for (size_t n = 0; n < group_size; ++n, x += width, from += width) {
      if (is_relu) {
#pragma omp simd
        for (size_t c = 0; c < width; ++c) {
          x[c] = std::max(0.0F, from[c] + shift[c]);
        }
      } else {
#pragma omp simd
        for (size_t c = 0; c < width; ++c) x[c] = from[c] + shift[c];
      }
    }
  }
  const size_t count = groups * group_size * width;
  if (activation == Activation::kTanh) MapInPlace(TanhOf(), count, first);
  if (activation == Activation::kSigmoid) MapInPlace(SigmoidOf(), count, first);
}

// The gradient before an activation from its value y and the gradient after it.
struct ReluGradient {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V y, V d_y) const {
    return hn::IfThenElseZero(hn::Gt(y, hn::Zero(d)), d_y);
  }
};

struct TanhGradient {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V y, V d_y) const {
    return hn::Mul(d_y, hn::NegMulAdd(y, y, hn::Set(d, 1.0F)));
  }
};

struct SigmoidGradient {
  template <class D, class V>
  HWY_INLINE V operator()(D /*d*/, V y, V d_y) const {
    return hn::Mul(d_y, hn::NegMulAdd(y, y, y));
  }
};

template <class Slope>
HWY_INLINE void GradientOfRows(const Slope& slope, const float* x, float scale,
                               size_t rows, size_t width, float* d_x,
                               float* sums) {
  ForColumns(width, [=](auto d, size_t column) HWY_ATTR {
    const auto factor = hn::Set(d, scale);
    auto sum = hn::Zero(d);
    for (size_t i = column; i < rows * width; i += width) {
      const auto y = hn::Mul(factor, hn::LoadU(d, x + i));
      const auto before = slope(d, y, hn::LoadU(d, d_x + i));
      hn::StoreU(before, d, d_x + i);
      sum = hn::Add(sum, before);
    }
    if (sums == nullptr) return;
    hn::StoreU(hn::Add(hn::LoadU(d, sums + column), sum), d, sums + column);
  });
}

void ActivationGradientImpl(const float* x, float scale, size_t rows,
                            size_t width, Activation activation, float* d_x,
                            float* sums) {
  switch (activation) {
    case Activation::kRelu:
      return GradientOfRows(ReluGradient(), x, scale, rows, width, d_x, sums);
    case Activation::kTanh:
      return GradientOfRows(TanhGradient(), x, scale, rows, width, d_x, sums);
    case Activation::kSigmoid:
      return GradientOfRows(SigmoidGradient(), x, scale, rows, width, d_x,
                            sums);
  }
}

void AddHeadScoresImpl(const float* x, const float* head, size_t rows,
                       size_t width, float* scores) {
  for (size_t n = 0; n < rows; ++n, x += width) {
    scores[n] += Dot(x, head, width);
  }
}

void HeadGradientImpl(const float* x, const float* head, const float* d_scores,
                      size_t rows, size_t width, float* d_x, float* d_head) {
  for (size_t n = 0; n < rows; ++n, x += width, d_x += width) {
    Scale(d_scores[n], head, width, d_x);
    Axpy(d_scores[n], x, width, d_head);
  }
}

HWY_INLINE float SumOf(const float* x, size_t count) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (size_t i = 0; i < count; ++i) sum += x[i];
  return sum;
}

void AddColumnSumsImpl(const float* x, size_t rows, size_t width, float* sums) {
  if (width == 1) {
    *sums += SumOf(x, rows);
    return;
  }
  ForColumns(width, [=](auto d, size_t column) HWY_ATTR {
    auto sum = hn::Zero(d);
    for (size_t i = column; i < rows * width; i += width) {
      sum = hn::Add(sum, hn::LoadU(d, x + i));
    }
    hn::StoreU(hn::Add(hn::LoadU(d, sums + column), sum), d, sums + column);
  });
}

void SumGroupsImpl(const float* x, size_t groups, size_t group_size,
                   size_t width, float* sums) {
  std::fill(sums, sums + groups * width, 0.0F);
  for (size_t g = 0; g < groups; ++g) {
    AddColumnSumsImpl(x, group_size, width, sums);
    x += group_size * width;
    sums += width;
  }
}

void AddRowsToImpl(const float* x, const uint32_t* from, const float* factors,
                   const uint32_t* to, size_t count, size_t width,
                   float* table) {
  constexpr size_t kAhead = 8;
  constexpr size_t kFloatsALine = 16;
  for (size_t i = 0; i < count; ++i) {
    if (i + kAhead < count) {
      const float* const later = table + to[i + kAhead] * width;
      for (size_t c = 0; c < width; c += kFloatsALine) {
        hwy::Prefetch(later + c);
      }
    }
    Axpy(factors[i], x + from[i] * width, width, table + to[i] * width);
  }
}

void AddScaledImpl(float factor, const float* x, size_t count, float* y) {
  Axpy(factor, x, count, y);
}

void NormalizeRowsImpl(size_t rows, size_t width, float* x, float* norms) {
  for (size_t r = 0; r < rows; ++r, x += width) {
    norms[r] = std::max(std::sqrt(Dot(x, x, width)), kLeastNorm);
    const float inverse = 1 / norms[r];
#pragma omp simd
    for (size_t c = 0; c < width; ++c) x[c] *= inverse;
  }
}

void NormalizeGradientImpl(const float* y, const float* norms, size_t rows,
                           size_t width, float* d) {
  for (size_t r = 0; r < rows; ++r, y += width, d += width) {
    const float along = Dot(y, d, width);
    const float inverse = norms[r] > kLeastNorm ? 1 / norms[r] : 0.0F;
#pragma omp simd
    for (size_t c = 0; c < width; ++c) d[c] = (d[c] - along * y[c]) * inverse;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace neumf
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace neumf {

HWY_EXPORT(MultiplyRowsImpl);
HWY_EXPORT(AddProductScoresImpl);
HWY_EXPORT(ProductGradientImpl);
HWY_EXPORT(ShiftAndActivateImpl);
HWY_EXPORT(ActivationGradientImpl);
HWY_EXPORT(AddHeadScoresImpl);
HWY_EXPORT(HeadGradientImpl);
HWY_EXPORT(SumGroupsImpl);
HWY_EXPORT(AddColumnSumsImpl);
HWY_EXPORT(AddRowsToImpl);
HWY_EXPORT(AddScaledImpl);
HWY_EXPORT(NormalizeRowsImpl);
HWY_EXPORT(NormalizeGradientImpl);

void MultiplyRows(const float* a, const float* b, size_t rows, size_t width,
                  float* out) {
  HWY_DYNAMIC_DISPATCH(MultiplyRowsImpl)(a, b, rows, width, out);
}

void AddProductScores(const float* user, const float* item, size_t groups,
                      size_t group_size, size_t width, float* scores) {
  HWY_DYNAMIC_DISPATCH(AddProductScoresImpl)
  (user, item, groups, group_size, width, scores);
}

void ProductGradient(const float* user, const float* item,
                     const float* d_scores, size_t groups, size_t group_size,
                     size_t width, float* d_user, float* d_item) {
  HWY_DYNAMIC_DISPATCH(ProductGradientImpl)
  (user, item, d_scores, groups, group_size, width, d_user, d_item);
}

void ShiftAndActivate(const float* from, const float* shift, size_t groups,
                      size_t group_size, size_t width, Activation activation,
                      float* x) {
  HWY_DYNAMIC_DISPATCH(ShiftAndActivateImpl)
  (from, shift, groups, group_size, width, activation, x);
}

void ActivationGradient(const float* x, float scale, size_t rows, size_t width,
                        Activation activation, float* d_x, float* sums) {
  HWY_DYNAMIC_DISPATCH(ActivationGradientImpl)
  (x, scale, rows, width, activation, d_x, sums);
}

void AddHeadScores(const float* x, const float* head, size_t rows, size_t width,
                   float* scores) {
  HWY_DYNAMIC_DISPATCH(AddHeadScoresImpl)(x, head, rows, width, scores);
}

void HeadGradient(const float* x, const float* head, const float* d_scores,
                  size_t rows, size_t width, float* d_x, float* d_head) {
  HWY_DYNAMIC_DISPATCH(HeadGradientImpl)
  (x, head, d_scores, rows, width, d_x, d_head);
}

void SumGroups(const float* x, size_t groups, size_t group_size, size_t width,
               float* sums) {
  HWY_DYNAMIC_DISPATCH(SumGroupsImpl)(x, groups, group_size, width, sums);
}

void AddColumnSums(const float* x, size_t rows, size_t width, float* sums) {
  HWY_DYNAMIC_DISPATCH(AddColumnSumsImpl)(x, rows, width, sums);
}

void AddRowsTo(const float* x, const uint32_t* from, const float* factors,
               const uint32_t* to, size_t count, size_t width, float* table) {
  HWY_DYNAMIC_DISPATCH(AddRowsToImpl)
  (x, from, factors, to, count, width, table);
}

void AddScaled(float factor, const float* x, size_t count, float* y) {
  HWY_DYNAMIC_DISPATCH(AddScaledImpl)(factor, x, count, y);
}

void NormalizeRows(size_t rows, size_t width, float* x, float* norms) {
  HWY_DYNAMIC_DISPATCH(NormalizeRowsImpl)(rows, width, x, norms);
}

void NormalizeGradient(const float* y, const float* norms, size_t rows,
                       size_t width, float* d) {
  HWY_DYNAMIC_DISPATCH(NormalizeGradientImpl)(y, norms, rows, width, d);
}

}  // namespace neumf
#endif  // HWY_ONCE
