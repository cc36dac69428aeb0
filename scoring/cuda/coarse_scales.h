#pragma once

// The powers of two by which a model's numbers are multiplied before they are
// rounded to halves.
//
// A half has 11 bits from 2^-14 to 65504, fewer below, and nothing above. So the
// scales put what is known of a model, its weights and the ranges of its items,
// in the middle: sums of items alone stay below about 2^11, which leaves room
// for users, who come later. Nothing else depends on them: numbers that turn out
// too large for halves have their users answered without the coarse form, those
// too small widen the bound of the error.
//
// The activations of layer l of the coarse network are those of the exact one
// times S(l), where S(1) = tower and S(l + 1) = S(l) weights[l - 1]; the score's
// is score = S(L) head = item_gmf user_gmf.

#include <vector>

#include "model/serving_model.h"
#include "scoring/cuda/kernels/views.h"

namespace neumf::cuda {

// What the items of a catalog reach, column by column; `error` is unused.
struct ItemRanges {
  std::vector<ColumnRange> tower;  // [H]
  std::vector<ColumnRange> gmf;    // [G]
  ColumnRange bias;                // zeros where there is none
};

struct CoarseScales {
  float tower = 1;             // of users and items, before layer 1
  std::vector<float> weights;  // of layers 2 ..
  float head = 1;
  float item_gmf = 1;
  float user_gmf = 1;
  float score = 1;
};

// Finite numbers give scales of whatever quality between 2^-100 and 2^100; those
// of tower and score, and of the activations of each layer, are between 2^-80
// and 2^60, as kernels/error_bound.h wants them. REQUIRES: ReLU; `network`, `ranges` and `shape` fit.
CoarseScales ChooseCoarseScales(const ModelShape& shape,
                                const ScoreNetwork& network,
                                const ItemRanges& ranges);

}  // namespace neumf::cuda
