#pragma once

// Makes what a checkpoint holds out of a trained model and its data.

#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/manifest.h"
#include "data/event_log.h"
#include "data/interactions.h"
#include "model/serving_model.h"
#include "trainer/neumf_parameters.h"

namespace neumf {

struct ExportedModel {
  ServingModel model;
  ItemTables items;
};

// Folds `parameters`; names come from `log`, seen sets and popularity (the
// number of users with a train event) from `train`.
absl::StatusOr<ExportedModel> ExportModel(const NeuMfParameters& parameters,
                                          const EventLog& log,
                                          const Interactions& train);

// The ten best unseen items of a few users spread over the user rows, from the
// trained form in float64 and not from the folded one, so that whoever loads
// the checkpoint can tell whether both are the same function.
std::vector<Probe> MakeProbes(NeuMfParameters& parameters, const EventLog& log,
                              const Interactions& train);

}  // namespace neumf
