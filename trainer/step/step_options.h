#pragma once

// How a batch becomes a gradient, whatever computes it.

#include <cstdint>

#include "absl/types/span.h"
#include "trainer/step/group_loss.h"

namespace neumf {

struct StepOptions {
  LossOptions loss;
  // The batch's loss is the sum over its groups; else their mean.
  bool sum_over_groups = false;
  // A penalty that scales with frequency: each group adds l2 / 2 * |row|^2 for
  // every row of its user's bag and of its positive's, and l2_negative / 2 *
  // |row|^2 for the rows of its own negatives, biases included. A row counts as
  // much as it weighs in its bag, a group over a catalog as often as its
  // targets weigh. Scaled like the loss.
  double l2 = 0;
  double l2_negative = 0;
  // The share of the tower's inputs and hidden values that training drops.
  double dropout = 0;
  // log(n Q(item)) by item row [I], which softmax takes off the scores of pairs;
  // empty: nothing is taken off.
  absl::Span<const float> log_q;
};

}  // namespace neumf
