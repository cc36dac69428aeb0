#pragma once

// Scores queries of the daemon's own beside those of callers, who come first: a
// few at a time, with pauses between them.

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "scoring/scorer.h"
#include "server/admission.h"
#include "server/snapshot.h"

namespace neumf {

// Queries that are scored at once; more keep more of a scorer's memory in use.
constexpr uint64_t kBackgroundUsers = 2;

// How much of the time may be spent.
enum class BackgroundPace {
  kAll,      // nobody is served yet
  kQuarter,  // a quarter of the time: beside callers
};

// Calls `use` with the number of each query and its answer, in order. CANCELLED
// when `cancelled`, asked between the steps, says true; else the scorer's
// errors. Blocks.
absl::Status ScoreInBackground(
    const Snapshot& snapshot, absl::Span<const ResolvedQuery> queries,
    BackgroundPace pace, const std::function<bool()>& cancelled,
    const std::function<void(size_t, const Ranking&)>& use);

}  // namespace neumf
