#pragma once

// The data that trained weights come from, as their file says it: rows of other
// ids would be other users and items, and weights that have seen the events
// which a run holds out would flatter its metrics.

#include <string>

#include "absl/status/status.h"
#include "data/event_log.h"
#include "data/split.h"
#include "nlohmann/json.hpp"
#include "trainer/train_task.h"

namespace neumf {

// SHA-256 over the ids of the users' and the items' rows, in their order.
std::string RowIdsDigest(const EventLog& log);

std::string SplitHashText(const Split& split);

// Whether a run may start from weights whose file says `about`, which is the
// training part of a manifest, of themselves. INVALID_ARGUMENT when their rows
// are of other users or items, or, where the run is measured, when they were
// trained on another split.
absl::Status CheckOrigin(const nlohmann::json& about, const TrainTask& task);

}  // namespace neumf
