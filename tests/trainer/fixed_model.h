#pragma once

// A model in the serving form whose scores are given: an item scores the same
// for every user.

#include <string>
#include <utility>
#include <vector>

#include "model/serving_model.h"

namespace neumf {

struct FixedModel {
  ServingModel model;
  ItemTables items;
};

// Items by row, each with its score; users by row.
FixedModel MakeFixedModel(
    const std::vector<std::pair<std::string, float>>& items,
    const std::vector<std::string>& users);

}  // namespace neumf
