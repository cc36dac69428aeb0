#pragma once

// First queries of a new version, on the loader's time: they touch the tables
// and make whatever the backend makes when it is first used.

#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "server/background_scoring.h"
#include "server/recent_queries.h"
#include "server/snapshot.h"

namespace neumf {

// Asks for a few users from all over the tables, and then what callers asked
// for last, as far as `snapshot` knows their users. Fails as
// ScoreInBackground().
absl::Status WarmUp(const Snapshot& snapshot,
                    const std::vector<RecentQuery>& recent, BackgroundPace pace,
                    const std::function<bool()>& cancelled);

}  // namespace neumf
