#pragma once

// Small random models in the serving form, the same for the same seed.

#include <cstdint>
#include <vector>

#include "model/serving_model.h"

namespace neumf {

struct TinyModelOptions {
  uint64_t num_users = 7;
  uint64_t num_items = 33;
  uint32_t gmf_width = 4;
  std::vector<uint32_t> tower_widths = {8, 4};  // H1 .. HL; empty: no tower
  Activation activation = Activation::kRelu;
  bool item_bias = true;
  bool popularity = true;
  uint64_t seen_per_user = 3;
  uint64_t seed = 1;
};

struct TinyModel {
  ServingModel model;  // ids "u0", "u1", ... and "i0", "i1", ...
  ItemTables items;
};

TinyModel MakeTinyModel(const TinyModelOptions& options);

}  // namespace neumf
