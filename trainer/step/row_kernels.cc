// Highway compiles what follows once for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "trainer/step/row_kernels.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// Must come after foreach_target.h.
#include <algorithm>
#include <cmath>
#include <cstring>

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

void ShiftAndActivateImpl(const float* shift, size_t groups, size_t group_size,
                          size_t width, Activation activation, float* x) {
  float* const first = x;
  const bool is_relu = activation == Activation::kRelu;
  for (size_t g = 0; g < groups; ++g, shift += width) {
    for (size_t n = 0; n < group_size; ++n, x += width) {
      if (is_relu) {
#pragma omp simd
        for (size_t c = 0; c < width; ++c) {
          x[c] = std::max(0.0F, x[c] + shift[c]);
        }
      } else {
#pragma omp simd
        for (size_t c = 0; c < width; ++c) x[c] += shift[c];
      }
    }
  }
  const size_t count = groups * group_size * width;
  if (activation == Activation::kTanh) MapInPlace(TanhOf(), count, first);
  if (activation == Activation::kSigmoid) MapInPlace(SigmoidOf(), count, first);
}

void ActivationGradientImpl(const float* x, size_t count, Activation activation,
                            float* d_x) {
  switch (activation) {
    case Activation::kRelu:
#pragma omp simd
      for (size_t i = 0; i < count; ++i) d_x[i] = x[i] > 0 ? d_x[i] : 0.0F;
      return;
    case Activation::kTanh:
#pragma omp simd
      for (size_t i = 0; i < count; ++i) d_x[i] *= 1 - x[i] * x[i];
      return;
    case Activation::kSigmoid:
#pragma omp simd
      for (size_t i = 0; i < count; ++i) d_x[i] *= x[i] * (1 - x[i]);
      return;
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

void SumGroupsImpl(const float* x, size_t groups, size_t group_size,
                   size_t width, float* sums) {
  std::fill(sums, sums + groups * width, 0.0F);
  for (size_t g = 0; g < groups; ++g, sums += width) {
    for (size_t n = 0; n < group_size; ++n, x += width) {
      Axpy(1.0F, x, width, sums);
    }
  }
}

void AddColumnSumsImpl(const float* x, size_t rows, size_t width, float* sums) {
  for (size_t r = 0; r < rows; ++r, x += width) Axpy(1.0F, x, width, sums);
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

void ShiftAndActivate(const float* shift, size_t groups, size_t group_size,
                      size_t width, Activation activation, float* x) {
  HWY_DYNAMIC_DISPATCH(ShiftAndActivateImpl)
  (shift, groups, group_size, width, activation, x);
}

void ActivationGradient(const float* x, size_t count, Activation activation,
                        float* d_x) {
  HWY_DYNAMIC_DISPATCH(ActivationGradientImpl)(x, count, activation, d_x);
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
