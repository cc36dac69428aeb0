#pragma once

// Evaluation protocols, each ranking through the scorer that serves.

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "scoring/scorer.h"

namespace neumf {

// One user to evaluate: the vectors, what was trained on (left out of the
// candidates), and the one held-out item.
struct HeldOutQuery {
  const float* user_gmf = nullptr;    // [G]
  const float* user_tower = nullptr;  // [H]
  absl::Span<const uint32_t> seen;    // ascending item rows
  uint32_t held_out_item = 0;
};

struct LeaveOneOutMetrics {
  uint64_t num_users = 0;
  double hit_at_50 = 0;
  double auc = 0;
  // The same with ties counted half instead of by item row. A trained model
  // whose numbers differ from these by more than .001 has broken scores.
  double midrank_hit_at_50 = 0;
  double midrank_auc = 0;
};

// The protocol of "Dive into Deep Learning", chapter on NeuMF: candidates are
// all items that the user has no train event with; Hit@50 and AUC of the
// held-out item's place, ties by item row; means over the users.
// INVALID_ARGUMENT when a held-out item is among its own seen ones, or there is
// no query at all.
absl::StatusOr<LeaveOneOutMetrics> EvaluateLeaveOneOut(
    const Scorer& scorer, absl::Span<const HeldOutQuery> queries);

}  // namespace neumf
