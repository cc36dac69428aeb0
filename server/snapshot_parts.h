#pragma once

// The parts that a snapshot is made of: new ones, and those that it shares with
// the version served before it.

#include <cstdint>

#include "model/serving_model.h"
#include "server/snapshot.h"

namespace neumf {

// Gives `snapshot` what is `kept` of `served`, and the rest from `model`, but for
// a scorer that is not kept. `served` may be null when nothing is.
void TakeParts(const ModelParts& kept, const Snapshot* served,
               ServingModel model, Snapshot* snapshot);

// Of all parts.
uint64_t ResidentBytes(const Snapshot& snapshot);
// Of those in the memory of the host.
uint64_t HostBytes(const Snapshot& snapshot);
// Of the parts that both have.
uint64_t SharedBytes(const Snapshot& a, const Snapshot& b);

}  // namespace neumf
