#pragma once

// The loss of one group, one positive and its negatives, as a function of their
// scores alone. Models know nothing of losses and losses nothing of models.
//
// With s the score of the positive, t_1 .. t_n those of the negatives:
//
//   bpr      mean over j of softplus(t_j - s)                 Rendle et al. 2009
//   hinge    mean over j of max(0, margin - s + t_j)
//   bce      (softplus(-s) + w sum_j softplus(t_j)) / (1 + n)   w: negative_weight
//   gbce     bce with sigmoid(s)^beta for the positive, beta from num_items and
//            calibration                     Petrov and Macdonald 2023, gSASRec
//   square   ((1 - s)^2 + w sum_j t_j^2) / (1 + n)
//   softmax  log(1 + sum_j exp((t'_j - s') / temperature)), with logQ: scores
//            less log(n Q(j)) after the temperature   Bengio and Senecal 2008
//   warp     the negatives are draws in their order; the first of them, number
//            N, with t > s - margin gives Phi(floor((I - 1) / N)) *
//            max(0, margin - s + t), Phi(r) = sum_{i <= r} 1 / i; none: 0
//                                                  Weston, Bengio, Usunier 2011
//   ccl      (1 - s) + w / n sum_j max(0, t_j - margin), of cosines
//                                                       Mao et al. 2021, SimpleX
//
// A score of -infinity takes its negative out: it counts neither in sums nor in
// n, and its gradient is 0. With `hard_negatives` = h > 0 only the h negatives
// with the largest scores count (dynamic negative sampling, Zhang et al. 2013).
//
// Immutable: any number of threads may use it.

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace neumf {

enum class LossKind {
  kBpr,
  kHinge,
  kBce,
  kGbce,
  kSquare,
  kSoftmax,
  kWarp,
  kCcl
};

struct LossOptions {
  LossKind kind = LossKind::kBpr;
  double margin = 1;           // hinge, warp, ccl
  double temperature = 1;      // softmax
  double negative_weight = 1;  // w of bce, gbce, square and ccl
  double calibration = 0.75;   // t of gbce
  uint32_t hard_negatives = 0;
  uint64_t num_items = 0;  // I: warp, gbce
};

class GroupLoss {
 public:
  explicit GroupLoss(const LossOptions& options);

  // The loss of the group with its gradient by the scores in `gradient`
  // [1 + n]. `scores` [1 + n], the positive's first. `log_q` [1 + n] is null, or
  // log(n Q(item)) of each, which softmax takes off the scores.
  double Compute(const float* scores, const float* log_q, size_t n,
                 float* gradient) const;

 private:
  LossOptions options_;
  std::vector<double> harmonic_;  // Phi, for warp
};

}  // namespace neumf
