#pragma once

// Recomputes the answers that a checkpoint's exporter wrote down, by name, with
// the scorer that will serve. A file whose rows and names do not belong
// together passes every digest; it does not pass this.

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "checkpoint/manifest.h"
#include "model/serving_model.h"
#include "scoring/scorer.h"

namespace neumf {

// What the answers are checked against: the parts of one loaded checkpoint. It
// owns none of them.
struct ProbedModel {
  const Scorer& scorer;
  const UserTables& users;
  const IdTable& user_ids;
  const IdTable& item_ids;
  const SeenSets& seen;
};

// OK when for every probe the items are the same but for swaps of items whose
// scores are close, and so are the scores; close means within 1e-4 of the
// probe's largest score, 1e-6 where that is nearly zero. The first miss is FAILED_PRECONDITION
// and says which user and item. The scorer's own errors are passed on.
absl::Status CheckProbes(absl::Span<const Probe> probes,
                         const ProbedModel& model);

}  // namespace neumf
