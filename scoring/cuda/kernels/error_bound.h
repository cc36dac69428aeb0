#pragma once

// How far a user's coarse scores can be off.
//
// THEOREM. For a user whose numbers halves hold (prepare_users.h) there is an
// interval [under, over] such that for every item of the catalog
//
//   under <= coarse score - score_scale * float32 score <= over,
//
// with the float32 score of scorer.h. So when tau is the K-th best coarse score
// of the eligible items, each of the best K has a coarse score of at least tau -
// margin, where margin = over - under: K items have float32 scores, scaled, of
// tau - over or more, and such an item has a coarse score of tau - over + under
// or more. What is wrong with all of a user's scores alike, as most of what its
// own rounding does, so costs nothing.
//
// PROOF, along the network. All exact numbers are meant times their power of
// two, which changes nothing else about them. Of every unit of the network
// CoarseUnit says, for all items at once, where its float32 value lies, and its
// coarse value less that. A sum of weights times units, be it user plus item, a
// layer's sum, or the score, has, with w the coarse weight, dw its error, v the
// unit's float32 value and e the error of its coarse value,
//
//   w (v + e) - (w - dw) v = w e + dw v
//
// of error a term (CoarseSum::Add), to which come
//   - what float32 rounds, an operation a term: 2^-24 of all terms' magnitude
//     each (to first order; kSlack takes the others),
//   - what the tensor cores round (kTensorCoreRounding),
//   - what underflows, in the exact network or the coarse one (kUnderflow).
// ReLU and the rounding to a half make a unit of it: Activate(). The network's
// weights and the items' halves come with their errors; the user's are rounded
// here. A user with units beyond halves has no bound.
//
// On towers A, B and C trained on MovieLens 1M margins are 0.03 to 0.06 of the
// scores' standard deviation: for the best 100 some 110 of 3,706 items are left,
// 120 at most (measured, 40 users each).
//
// Sums here are of doubles: their rounding is 2^-28 of what is added for that of
// float32, and kSlack takes it, too.

#include <cmath>
#include <cstdint>
#include <cstring>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/kernels/coarse_numbers.h"
#include "scoring/cuda/kernels/views.h"

namespace neumf::cuda {

// A multiplication of tensor cores with k products adds them and the sum before
// after aligning all to the largest of them, cutting off what falls below 24
// bits or more, and cuts the result again (Fasi, Higham, Mikaitis, Pranesh:
// Numerical behavior of NVIDIA tensor cores, 2021; also in two steps of k / 2).
// So each of the k + 1 terms and the result are off by less than 2^-23 of the
// magnitude of all of them, which is within (k + 1) 2^-22 of it; products that
// are all 0 leave the sum before as it is; and denormal halves count like others.
constexpr double kTensorCoreRounding = 0x1p-22;
constexpr double kFloatRounding = 0x1p-24;
constexpr double kHalfRounding = 0x1p-11;
constexpr double kDenormalHalfRounding = 0x1p-25;
constexpr double kSlack = 1.001;
// Of a sum of some thousand terms. The scales are at most 2^60 and units at most
// 2^16: what underflows in float32, less than 2^-149 times those a term, stays
// far below.
constexpr double kUnderflow = 0x1p-55;
// Of magnitudes, all together. Scales are at least 2^-80, so that float32 does
// not overflow.
constexpr double kLargestTotal = 0x1p40;

// For every item: the float32 value is in [low, high], the coarse value less
// that in [under, over], and neither has a magnitude above `reach`.
struct CoarseUnit {
  double low = 0;
  double high = 0;
  double under = 0;
  double over = 0;
  double reach = 0;
};

// How far a half may be from a number in [0, top].
NEUMF_HOST_DEVICE double RoundingToHalf(double top) {
  if (!(top > 0)) return 0;
  uint64_t bits;
  memcpy(&bits, &top, sizeof bits);
  bits &= uint64_t{0x7FF} << 52;  // the power of two below
  double power;
  memcpy(&power, &bits, sizeof power);
  return fmax(power * kHalfRounding, kDenormalHalfRounding) * kSlack;
}

// A sum of weights times units, for every item: of the float32 sum, its coarse
// sum less that, and the magnitude of all terms of either.
struct CoarseSum {
  double low = 0;
  double high = 0;
  double under = 0;
  double over = 0;
  double magnitude = 0;

  // A term that is the same for all items; `error` is what the coarse one is too
  // large by.
  NEUMF_HOST_DEVICE void AddConstant(double value, double error) {
    low += value - error;
    high += value - error;
    under += error;
    over += error;
    magnitude += fabs(value) + fabs(error);
  }

  // `error` is what the coarse weight `value` is too large by.
  NEUMF_HOST_DEVICE void Add(double value, double error,
                             const CoarseUnit& unit) {
    const double exact = value - error;
    low += exact * (exact > 0 ? unit.low : unit.high);
    high += exact * (exact > 0 ? unit.high : unit.low);
    under += value * (value > 0 ? unit.under : unit.over) +
             error * (error > 0 ? unit.low : unit.high);
    over += value * (value > 0 ? unit.over : unit.under) +
            error * (error > 0 ? unit.high : unit.low);
    magnitude += (fabs(value) + fabs(error)) * unit.reach;
  }

  // After the last term: of `num_operations` of float32, and `tensor_core` times
  // the tensor cores' rounding. One operation more is for the weights' errors,
  // which are rounded where a number is beyond halves.
  NEUMF_HOST_DEVICE void AddRounding(uint32_t num_operations,
                                     double tensor_core) {
    const double exact =
        kSlack * (num_operations + 1) * kFloatRounding * magnitude + kUnderflow;
    const double both = exact + kSlack * kTensorCoreRounding * tensor_core;
    low -= exact;
    high += exact;
    under -= both;
    over += both;
  }
};

// The sum's unit: max(sum, 0), the coarse one rounded to a half.
//
// With a the float32 sum and c = a + e the coarse one: relu(c) - relu(a) is
// between 0 and e, so in the hull of [under, over] and 0. As relu(c) >= c it is
// e or more where a >= 0, and as relu(a) >= a it is e or less where c >= 0:
// units that are always active keep [under, over] itself. And it is -relu(a) or
// more, relu(c) or less, so that units that are always dead have no error.
NEUMF_HOST_DEVICE CoarseUnit Activate(const CoarseSum& sum) {
  const double top = fmax(sum.high + sum.over, 0.0);  // of the coarse unit
  const double rounding = RoundingToHalf(top);
  CoarseUnit unit;
  unit.low = fmax(sum.low, 0.0);
  unit.high = fmax(sum.high, 0.0);
  const double under = sum.low >= 0 ? sum.under : fmin(sum.under, 0.0);
  const double over = sum.low + sum.under >= 0 ? sum.over : fmax(sum.over, 0.0);
  unit.under = fmax(under, -unit.high) - rounding;
  unit.over = fmin(over, top) + rounding;
  unit.reach = fmax(unit.high, top + rounding);
  return unit;
}

// A column of an item table as a unit.
NEUMF_HOST_DEVICE CoarseUnit UnitOf(const ColumnRange& range) {
  CoarseUnit unit;
  unit.low = range.low;
  unit.high = range.high;
  unit.over = range.error;
  unit.under = -unit.over;
  unit.reach = fmax(fabs(unit.low), fabs(unit.high)) + unit.over;
  return unit;
}

// Layer 1: the user's number, then the item's. Halves are added and rounded to
// one, so the tensor cores have no part.
NEUMF_HOST_DEVICE CoarseSum FirstSum(const CoarseNumber& user,
                                     const ColumnRange& item) {
  CoarseSum sum;
  sum.AddConstant(user.value, user.error);
  sum.Add(1, 0, UnitOf(item));
  sum.AddRounding(1, 0);
  return sum;
}

// Output `o` of a layer that reads `units` [layer.in].
NEUMF_HOST_DEVICE CoarseSum LayerSum(const CoarseLayer& layer, uint32_t o,
                                     const CoarseUnit* units) {
  constexpr uint32_t kDepth = 16;  // of a multiplication
  CoarseSum sum;
  sum.AddConstant(layer.bias[o], 0);
  // A multiplication rounds what there is until then.
  double tensor_core = 0;
  for (uint32_t step = 0; step < layer.in; step += kDepth) {
    NEUMF_UNROLL  // so that the loads are on their way together
        for (uint32_t k = step; k < step + kDepth; ++k) {
      const uint32_t at = k * layer.out + o;
      sum.Add(layer.value[at], layer.weight_error[at], units[k]);
    }
    tensor_core += (kDepth + 1) * sum.magnitude;
  }
  sum.AddRounding(layer.in, tensor_core);
  return sum;
}

// The score, when `sum` has the terms of gmf and head.
NEUMF_HOST_DEVICE void FinishScore(const CoarseModel& model, CoarseSum* sum) {
  sum->magnitude += model.start_magnitude;
  sum->under -= model.start_error;
  sum->over += model.start_error;
  const uint32_t head_roundings =
      model.head_width + (model.head_width + 15) / 16;
  const uint32_t gmf_roundings = model.gmf_steps * (8 + 1);
  // Two more operations add head_bias and item_bias.
  sum->AddRounding(model.gmf_steps * 8 + model.head_width + 2,
                   (gmf_roundings + head_roundings) * sum->magnitude);
}

// What a threshold has to stay below a K-th best score, rounded up; float32
// rounds that subtraction, too.
NEUMF_HOST_DEVICE float MarginOf(const CoarseSum& score) {
  return static_cast<float>(kSlack * (score.over - score.under) +
                            2 * kFloatRounding * kSlack * score.magnitude);
}

}  // namespace neumf::cuda
