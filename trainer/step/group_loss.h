#pragma once

// The loss of one group, one positive and its negatives, as a function of their
// scores alone. Models know nothing of losses and losses nothing of models.
//
// With s the score of the positive, t_1 .. t_n those of the negatives:
//
//   bpr      mean over j of softplus(t_j - s)                 Rendle et al. 2009
//   hinge    mean over j of max(0, margin - s + t_j)
//   bce      (softplus(-s) + w sum_j softplus(t_j)) / (1 + n)   w: negative_weight
//   gbce     bce with sigmoid(s)^beta for the positive, beta = 1 - t (1 - a),
//            a = min(1, n / (I - 1))         Petrov and Macdonald 2023, gSASRec
//   square   ((1 - s)^2 + w sum_j t_j^2) / (1 + n)
//   softmax  log(1 + sum_j exp(t'_j - s')), t' = t / temperature, with logQ
//            less log(n Q(j))                         Bengio and Senecal 2008
//   warp     the negatives are draws in their order; the first of them, number
//            N, with t > s - margin gives Phi(floor((I - 1) / N)) *
//            max(0, margin - s + t), Phi(r) = sum_{i <= r} 1 / i; none: 0
//                                                  Weston, Bengio, Usunier 2011
//   ccl      (1 - s) + w / n sum_j max(0, t_j - margin), of cosines
//                                                       Mao et al. 2021, SimpleX
//
// A score of -infinity takes its negative out: it counts neither in sums nor in
// n, nor as a draw, and its gradient is 0. With `hard_negatives` = h > 0 only
// the h negatives with the largest scores count, of equal ones the first
// (dynamic negative sampling, Zhang et al. 2013); n is h then.
//
// A score that is NaN gives a loss that is not finite.
//
// Immutable: any number of threads may use it. The same machine gives the same
// bits each time; other instruction sets differ in the last places.

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
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
  double margin = 1;            // m of hinge, warp and ccl
  double temperature = 1;       // softmax
  double negative_weight = 1;   // w of bce, gbce, square and ccl
  double calibration = 0.75;    // t of gbce
  uint32_t hard_negatives = 0;  // h; 0: all count. Not for warp
  uint64_t num_items = 0;       // I: warp, gbce
};

// INVALID_ARGUMENT names the loss that does not exist, and those that do.
absl::StatusOr<LossKind> ParseLossKind(absl::string_view text);
const char* LossKindName(LossKind kind);

// INVALID_ARGUMENT says which option is out of range or at odds with another.
absl::Status ValidateLossOptions(const LossOptions& options);

class GroupLoss {
 public:
  // REQUIRES: ValidateLossOptions(options) is OK.
  explicit GroupLoss(const LossOptions& options);

  // The loss of the group with its gradient by the scores in `gradient`
  // [1 + n]. `scores` [1 + n], the positive's first. `log_q` [1 + n] is null, or
  // log(n Q(item)) of each, finite, which softmax takes off the scores; the
  // other losses do not read it. The three do not overlap.
  // REQUIRES: the positive's score is not infinite.
  double Compute(const float* scores, const float* log_q, size_t n,
                 float* gradient) const;

 private:
  double ComputeAll(const float* scores, const float* log_q, size_t n,
                    float* gradient) const;
  double ComputeHardest(const float* scores, const float* log_q, size_t n,
                        float* gradient) const;
  double ComputePairwise(const float* scores, size_t n, float* gradient) const;
  double ComputePointwise(const float* scores, size_t n, float* gradient) const;
  double ComputeCcl(const float* scores, size_t n, float* gradient) const;
  double ComputeSoftmaxLoss(const float* scores, const float* log_q, size_t n,
                            float* gradient) const;
  double ComputeWarp(const float* scores, size_t n, float* gradient) const;
  // Of gbce, when n negatives count.
  double PositivePower(size_t n) const;

  LossOptions options_;
};

}  // namespace neumf
