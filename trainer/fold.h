#pragma once

// From the trained form to the serving form (model/serving_model.h): the same
// function with the output weights of the GMF half multiplied into the item
// side, and the first layer split over its two inputs.

#include "model/serving_model.h"
#include "trainer/neumf_parameters.h"

namespace neumf {

// What of a serving model follows from the parameters alone.
struct FoldedModel {
  ModelShape shape;
  ScoreNetwork network;
  UserTables users;
  ItemTables items;
};

// Computed in float64, each value rounded once.
FoldedModel Fold(const NeuMfParameters& parameters);

}  // namespace neumf
