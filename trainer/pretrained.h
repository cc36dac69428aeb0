#pragma once

// A model that starts from two that were trained before it, as NeuMF does in He
// et al. 2017: the product from one, the tower from the other, and an output
// that weighs both.

#include "absl/status/status.h"
#include "trainer/model/parameters.h"

namespace neumf {

// With both given, `*parameters` become the function
//
//   alpha * (product of *gmf) + (1 - alpha) * (tower of *mlp)
//
// : tables and layers are copied, the output weights h = [alpha h_gmf,
// (1 - alpha) h_mlp] and all biases are weighed. A product without output
// weights (mf, iALS) counts as h = 1. What else the two have, a tower beside the
// product or a product beside the tower, is not looked at.
//
// With only one given (the other null), its part is copied as it is, whatever
// `alpha` says; the other part keeps its values, but its output weights become
// 0, so that training begins at the function of the one that was given.
//
// History rows that only `*parameters` have keep their values.
//
// INVALID_ARGUMENT, and nothing is changed, when a block differs in its shape,
// which is named, or when a setting does that makes the same numbers another
// function: an activation, cosines. REQUIRES: one of the two is given.
absl::Status StartFromPretrained(const Parameters* gmf, const Parameters* mlp,
                                 double alpha, Parameters* parameters);

}  // namespace neumf
