#pragma once

// Recomputes the answers that a checkpoint's exporter wrote down, by name, with
// the scorer that will serve. A file whose rows and names do not belong
// together passes every digest; it does not pass this.

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "checkpoint/manifest.h"
#include "server/snapshot.h"

namespace neumf {

// OK when for every probe the items are the same but for swaps of items whose
// scores differ by less than 1e-4 relative, and so are the scores to within
// that. The first miss is FAILED_PRECONDITION and says which user and item.
absl::Status CheckProbes(absl::Span<const Probe> probes,
                         const Snapshot& snapshot);

}  // namespace neumf
