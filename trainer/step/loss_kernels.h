#pragma once

// The loops over the scores of a group's negatives, compiled for every
// instruction set that the machine may have (Highway's dispatch). float32; sums
// over many are kept in float64. The same machine gives the same bits each time.
//
// A score of -infinity is no negative: it adds 0 and its gradient is exactly 0.
// NaN comes out as NaN.

#include <cstddef>

namespace neumf {

enum class Term { kSoftplus, kRelu, kSquare };

// The sum over the negatives of f(x) with x = (score - center) + margin.
struct TermSpec {
  Term term = Term::kSoftplus;  // f
  float center = 0;
  float margin = 0;
  float weight = 1;
  // The terms weigh weight / (number of negatives + num_others).
  size_t num_others = 0;
};

struct TermSums {
  size_t count = 0;   // of negatives
  double values = 0;  // the sum of f(x), without weights
  double slopes = 0;  // that of f'(x)
};

// Writes the weighted gradient by each score into `gradient` [n], which may not
// overlap `scores` [n].
TermSums SumTerms(const TermSpec& spec, const float* scores, size_t n,
                  float* gradient);

// log(1 + sum_j exp(z_j)), z_j = (scores[j] - positive) * inverse_temperature
// - (log_q[j] - log_q_positive), where log_q [n] may be null.
struct SoftmaxSpec {
  float positive = 0;
  float log_q_positive = 0;
  float inverse_temperature = 1;
};

struct SoftmaxLoss {
  double loss = 0;
  float d_positive = 0;  // the gradient by the positive's score
};

SoftmaxLoss ComputeSoftmax(const SoftmaxSpec& spec, const float* scores,
                           const float* log_q, size_t n, float* gradient);

}  // namespace neumf
