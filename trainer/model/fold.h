#pragma once

// From the trained form (model_spec.h) to the serving form
// (model/serving_model.h): the same function with bags summed, the output
// weights of the product multiplied into the items' side, the first layer of
// the tower split over its two inputs, and the linear layer behind the tower
// multiplied into the output.

#include "base/thread_pool.h"
#include "model/serving_model.h"
#include "trainer/model/bags.h"
#include "trainer/model/parameters.h"

namespace neumf {

// What of a serving model follows from the parameters alone.
struct FoldedModel {
  ModelShape shape;
  ScoreNetwork network;
  UserTables users;
  ItemTables items;
};

// Computed in float64, each value rounded once, the same on any number of
// threads. Users are as they are after all of their train events.
//
// What depends on the user alone, its biases and the products within its bag,
// moves no ranking. With `keep_user_terms` it takes a column of its own in the
// product, so that scores are the trained ones: a pointwise model's sigmoid is
// then a probability. Else it is left out.
FoldedModel Fold(const Parameters& parameters, const ItemBags& item_bags,
                 const UserBags& user_bags, bool keep_user_terms,
                 ThreadPool& threads);

}  // namespace neumf
