#pragma once

// One pass over parameters, gradient and moments, compiled for every
// instruction set that the machine may have (Highway's dispatch). What becomes
// of an element depends on nothing but itself: not on where a range begins, nor
// on whether it is reached as part of a range or of a row.

#include <cstddef>
#include <cstdint>

namespace neumf {

// The formulas of optimizer.h, with what is the same for all elements of a step
// worked out.
enum class UpdateFormula {
  kSgd,
  kSgdMomentum,
  kAdagrad,
  kRmsprop,
  kRmspropMomentum,
  kAdam
};

struct UpdateRule {
  UpdateFormula formula = UpdateFormula::kSgd;
  float rate = 0;
  float decay = 0;   // L2 that is added to the gradient
  float shrink = 1;  // what the parameter is multiplied with before all else
  float momentum = 0;
  float beta1 = 0;
  float beta2 = 0;
  float rest1 = 1;       // 1 - beta1
  float rest2 = 1;       // 1 - beta2
  float root_scale = 1;  // 1 / sqrt(1 - beta2^steps)
  float epsilon = 0;
};

// Arrays of one layout; a moment that the formula has not is null.
struct UpdateArrays {
  const float* gradient;
  float* parameters;
  float* first_moment;
  float* second_moment;
};

// Moves elements first .. first + count.
void UpdateRange(const UpdateRule& rule, const UpdateArrays& arrays,
                 size_t first, size_t count);

// Moves `num_rows` rows, each `cols` elements from first + rows[i] * cols.
void UpdateRows(const UpdateRule& rule, const UpdateArrays& arrays,
                size_t first, size_t cols, const uint32_t* rows,
                size_t num_rows);

}  // namespace neumf
