#pragma once

// Makes what a checkpoint holds out of a trained model and its data.

#include <vector>

#include "absl/status/statusor.h"
#include "base/thread_pool.h"
#include "checkpoint/manifest.h"
#include "data/event_log.h"
#include "data/interactions.h"
#include "model/serving_model.h"
#include "trainer/model/bags.h"
#include "trainer/model/parameters.h"

namespace neumf {

struct ExportedModel {
  ServingModel model;
  ItemTables items;
};

// What of a checkpoint follows from the data. Owns none of it.
struct ExportData {
  const EventLog* log = nullptr;            // names
  const Interactions* positives = nullptr;  // popularity: users with an event
  const Interactions* seen = nullptr;       // what is left out of answers
  const ItemBags* item_bags = nullptr;
  const UserBags* user_bags = nullptr;
};

// Folds `parameters`. Scores are the trained ones, terms of the user alone
// included.
absl::StatusOr<ExportedModel> ExportModel(const Parameters& parameters,
                                          const ExportData& data,
                                          ThreadPool& threads);

// The ten best unseen items of a few users spread over the user rows, from the
// trained form in float64 and not from the folded one, so that whoever loads
// the checkpoint can tell whether both are the same function.
std::vector<Probe> MakeProbes(Parameters& parameters, const ExportData& data);

}  // namespace neumf
