#pragma once

// A bound on |score| over all pairs, from the largest magnitude of each column.
//
// Finite weights can still overflow float32 (inf - inf is NaN, and a NaN
// compares false and vanishes from a ranking in silence), so a model whose
// scores, or any value on the way to them, could pass FLT_MAX is refused when
// it is loaded. The recurrence is that of interval propagation: layer outputs
// are bounded by |W| times the bound of their inputs, plus |b|.
//
//   ScoreBound bound(shape);
//   bound.AddUsers(users);  bound.AddItems(rows);  // any number of times
//   NEUMF_RETURN_IF_ERROR(bound.Check(network));
//
// For one thread at a time.

#include <vector>

#include "absl/status/status.h"
#include "model/serving_model.h"

namespace neumf {

class ScoreBound {
 public:
  explicit ScoreBound(const ModelShape& shape);

  void AddUsers(const UserTables& users);
  void AddItems(const ItemRows& rows);
  // All users, or items, of another bound. REQUIRES: of the same widths.
  void AddUsersOf(const ScoreBound& other);
  void AddItemsOf(const ScoreBound& other);

  // The bound in float64. REQUIRES, as Check() does: `network` fits the shape.
  double Bound(const ScoreNetwork& network) const;

  // INVALID_ARGUMENT, naming the layer, when some value may pass FLT_MAX.
  absl::Status Check(const ScoreNetwork& network) const;

 private:
  // Of what goes into the activation of tower layers 1 .. L, then of the score.
  std::vector<double> StageBounds(const ScoreNetwork& network) const;

  std::vector<double> user_gmf_;    // [G] largest |value| of each column
  std::vector<double> user_tower_;  // [H]
  std::vector<double> item_gmf_;    // [G]
  std::vector<double> item_tower_;  // [H]
  std::vector<double> item_bias_ = {0};
};

}  // namespace neumf
