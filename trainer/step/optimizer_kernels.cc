// Vectors without a fixed size (SVE) cannot be members.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
// Highway compiles what follows once for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "trainer/step/optimizer_kernels.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// Must come after foreach_target.h.
#include "hwy/highway.h"
#include "trainer/step/optimizer_kernels.h"

HWY_BEFORE_NAMESPACE();
namespace neumf::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::ScalableTag<float>;
using Vector = hn::Vec<Tag>;

HWY_INLINE Vector Constant(float value) { return hn::Set(Tag(), value); }

// A vector of elements in flight.
struct Element {
  Vector gradient;
  Vector parameter;
  Vector first;  // moments
  Vector second;
};

// Whole vectors.
struct WholeAccess {
  static HWY_INLINE Vector Load(const float* from) {
    return hn::LoadU(Tag(), from);
  }
  static HWY_INLINE void Store(Vector values, float* to) {
    hn::StoreU(values, Tag(), to);
  }
};

// The first `count` elements of one. Others are computed with zeros and go
// nowhere.
struct PartAccess {
  size_t count;

#if HWY_MEM_OPS_MIGHT_FAULT
  HWY_INLINE Vector Load(const float* from) const {
    constexpr Tag d;
    HWY_ALIGN float padded[hn::MaxLanes(d)];
    hn::Store(hn::Zero(d), d, padded);
    for (size_t i = 0; i < count; ++i) padded[i] = from[i];
    return hn::Load(d, padded);
  }
  HWY_INLINE void Store(Vector values, float* to) const {
    constexpr Tag d;
    HWY_ALIGN float padded[hn::MaxLanes(d)];
    hn::Store(values, d, padded);
    for (size_t i = 0; i < count; ++i) to[i] = padded[i];
  }
#else
  HWY_INLINE Vector Load(const float* from) const {
    return hn::MaskedLoad(hn::FirstN(Tag(), count), Tag(), from);
  }
  HWY_INLINE void Store(Vector values, float* to) const {
    hn::BlendedStore(values, hn::FirstN(Tag(), count), Tag(), to);
  }
#endif
};

// Each formula says which moments it has and how an element moves; the gradient
// has its decay already.
struct Sgd {
  static constexpr bool kFirst = false;
  static constexpr bool kSecond = false;

  static HWY_INLINE void Move(const UpdateRule& rule, Element& e) {
    e.parameter = hn::NegMulAdd(Constant(rule.rate), e.gradient, e.parameter);
  }
};

struct SgdMomentum {
  static constexpr bool kFirst = true;
  static constexpr bool kSecond = false;

  static HWY_INLINE void Move(const UpdateRule& rule, Element& e) {
    e.first = hn::MulAdd(Constant(rule.momentum), e.first, e.gradient);
    e.parameter = hn::NegMulAdd(Constant(rule.rate), e.first, e.parameter);
  }
};

struct Adagrad {
  static constexpr bool kFirst = false;
  static constexpr bool kSecond = true;

  static HWY_INLINE void Move(const UpdateRule& rule, Element& e) {
    e.second = hn::MulAdd(e.gradient, e.gradient, e.second);
    const Vector root = hn::Add(hn::Sqrt(e.second), Constant(rule.epsilon));
    e.parameter = hn::NegMulAdd(Constant(rule.rate), hn::Div(e.gradient, root),
                                e.parameter);
  }
};

// The gradient over the root of the mean of its squares.
HWY_INLINE Vector Normalized(const UpdateRule& rule, Element& e) {
  const Vector square = hn::Mul(e.gradient, e.gradient);
  e.second = hn::MulAdd(Constant(rule.beta2), e.second,
                        hn::Mul(Constant(rule.rest2), square));
  return hn::Div(e.gradient,
                 hn::Add(hn::Sqrt(e.second), Constant(rule.epsilon)));
}

struct Rmsprop {
  static constexpr bool kFirst = false;
  static constexpr bool kSecond = true;

  static HWY_INLINE void Move(const UpdateRule& rule, Element& e) {
    e.parameter =
        hn::NegMulAdd(Constant(rule.rate), Normalized(rule, e), e.parameter);
  }
};

struct RmspropMomentum {
  static constexpr bool kFirst = true;
  static constexpr bool kSecond = true;

  static HWY_INLINE void Move(const UpdateRule& rule, Element& e) {
    e.first = hn::MulAdd(Constant(rule.momentum), e.first, Normalized(rule, e));
    e.parameter = hn::NegMulAdd(Constant(rule.rate), e.first, e.parameter);
  }
};

struct Adam {
  static constexpr bool kFirst = true;
  static constexpr bool kSecond = true;

  static HWY_INLINE void Move(const UpdateRule& rule, Element& e) {
    e.first = hn::MulAdd(Constant(rule.beta1), e.first,
                         hn::Mul(Constant(rule.rest1), e.gradient));
    const Vector square = hn::Mul(e.gradient, e.gradient);
    e.second = hn::MulAdd(Constant(rule.beta2), e.second,
                          hn::Mul(Constant(rule.rest2), square));
    const Vector root = hn::MulAdd(
        hn::Sqrt(e.second), Constant(rule.root_scale), Constant(rule.epsilon));
    e.parameter =
        hn::NegMulAdd(Constant(rule.rate), hn::Div(e.first, root), e.parameter);
  }
};

template <class Formula, class Access>
HWY_INLINE void MoveVector(const UpdateRule& rule, const UpdateArrays& arrays,
                           size_t at, const Access& access) {
  Element e;
  e.parameter = access.Load(arrays.parameters + at);
  e.gradient = hn::MulAdd(Constant(rule.decay), e.parameter,
                          access.Load(arrays.gradient + at));
  e.parameter = hn::Mul(Constant(rule.shrink), e.parameter);
  e.first =
      Formula::kFirst ? access.Load(arrays.first_moment + at) : hn::Zero(Tag());
  e.second = Formula::kSecond ? access.Load(arrays.second_moment + at)
                              : hn::Zero(Tag());
  Formula::Move(rule, e);
  access.Store(e.parameter, arrays.parameters + at);
  if (Formula::kFirst) access.Store(e.first, arrays.first_moment + at);
  if (Formula::kSecond) access.Store(e.second, arrays.second_moment + at);
}

template <class Formula>
HWY_INLINE void MoveRange(const UpdateRule& rule, const UpdateArrays& arrays,
                          size_t first, size_t count) {
  const size_t lanes = hn::Lanes(Tag());
  const size_t end = first + count;
  size_t at = first;
  for (; at + lanes <= end; at += lanes) {
    MoveVector<Formula>(rule, arrays, at, WholeAccess());
  }
  if (at < end) MoveVector<Formula>(rule, arrays, at, PartAccess{end - at});
}

// What is moved: a range, or rows.
struct RangeTask {
  const UpdateArrays& arrays;
  size_t first;
  size_t count;

  template <class Formula>
  HWY_INLINE void Run(const UpdateRule& rule) const {
    MoveRange<Formula>(rule, arrays, first, count);
  }
};

struct RowsTask {
  const UpdateArrays& arrays;
  size_t first;
  size_t cols;
  const uint32_t* rows;
  size_t num_rows;

  template <class Formula>
  HWY_INLINE void Run(const UpdateRule& rule) const {
    for (size_t r = 0; r < num_rows; ++r) {
      MoveRange<Formula>(rule, arrays, first + rows[r] * cols, cols);
    }
  }
};

template <class Task>
HWY_INLINE void RunTask(const UpdateRule& rule, const Task& task) {
  switch (rule.formula) {
    case UpdateFormula::kSgd:
      return task.template Run<Sgd>(rule);
    case UpdateFormula::kSgdMomentum:
      return task.template Run<SgdMomentum>(rule);
    case UpdateFormula::kAdagrad:
      return task.template Run<Adagrad>(rule);
    case UpdateFormula::kRmsprop:
      return task.template Run<Rmsprop>(rule);
    case UpdateFormula::kRmspropMomentum:
      return task.template Run<RmspropMomentum>(rule);
    case UpdateFormula::kAdam:
      return task.template Run<Adam>(rule);
  }
}

}  // namespace

void UpdateRangeOnTarget(const UpdateRule& rule, const UpdateArrays& arrays,
                         size_t first, size_t count) {
  RunTask(rule, RangeTask{arrays, first, count});
}

void UpdateRowsOnTarget(const UpdateRule& rule, const UpdateArrays& arrays,
                        size_t first, size_t cols, const uint32_t* rows,
                        size_t num_rows) {
  RunTask(rule, RowsTask{arrays, first, cols, rows, num_rows});
}

}  // namespace neumf::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace neumf {

HWY_EXPORT(UpdateRangeOnTarget);
HWY_EXPORT(UpdateRowsOnTarget);

void UpdateRange(const UpdateRule& rule, const UpdateArrays& arrays,
                 size_t first, size_t count) {
  HWY_DYNAMIC_DISPATCH(UpdateRangeOnTarget)(rule, arrays, first, count);
}

void UpdateRows(const UpdateRule& rule, const UpdateArrays& arrays,
                size_t first, size_t cols, const uint32_t* rows,
                size_t num_rows) {
  HWY_DYNAMIC_DISPATCH(UpdateRowsOnTarget)
  (rule, arrays, first, cols, rows, num_rows);
}

}  // namespace neumf
#endif  // HWY_ONCE
