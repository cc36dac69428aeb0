#pragma once

// The loss of one group over all candidates: which of them are targets, the
// rest are not. What a model without a tower can afford over the whole catalog.
//
// With s_c the scores, x_c the targets' weights (0 elsewhere) and X their sum:
//
//   softmax  X log sum_c exp(s_c / temperature) - sum_c x_c s_c / temperature:
//            the multinomial likelihood        Liang et al. 2018, section 2.1
//   bce      sum of x_c softplus(-s_c) over targets + w sum of softplus(s_c)
//            over the others                   w: negative_weight
//   square   sum of x_c (1 - s_c)^2 over targets + w sum of s_c^2 over the
//            others: whole-data square loss    Hu, Koren, Volinsky 2008
//
// A score of -infinity takes its candidate out: its gradient is 0.
//
// Immutable: any number of threads may use it.

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "trainer/step/group_loss.h"

namespace neumf {

// Whether there is such a loss over candidates.
bool IsCatalogLoss(LossKind kind);

class CatalogLoss {
 public:
  // REQUIRES: IsCatalogLoss(options.kind).
  explicit CatalogLoss(const LossOptions& options);

  // `targets` are places in `scores` [C], none of them taken out, each with a
  // weight. Fills `gradient` [C].
  double Compute(const float* scores, size_t num_candidates,
                 absl::Span<const uint32_t> targets,
                 absl::Span<const float> weights, float* gradient) const;

 private:
  const LossOptions options_;
};

}  // namespace neumf
