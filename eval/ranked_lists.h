#pragma once

// The rankings that protocols look at, made for as many users at a time as
// memory allows.

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "eval/protocols.h"
#include "scoring/scorer.h"

namespace neumf {

// How many users to rank at once when each ranking has up to `depth` items.
size_t UsersAtOnce(uint64_t depth, uint64_t num_items);

// rankings[b] is the catalog of users[b] from the best item on: at least
// `depth` items, and as many more as it takes not to end within a group of
// equal scores that reaches above the depth. `excluded` as in
// EvaluationOptions. FAILED_PRECONDITION when a score is not a number.
absl::Status RankCatalogs(const Scorer& scorer, uint64_t depth,
                          absl::Span<const uint32_t> excluded,
                          absl::Span<const HeldOutQuery> users,
                          absl::Span<Ranking> rankings);

// rankings[b] is the whole of lists[b], which ascends strictly, whatever
// users[b] has seen. FAILED_PRECONDITION when a score is not a number.
absl::Status RankLists(const Scorer& scorer,
                       absl::Span<const HeldOutQuery> users,
                       absl::Span<const absl::Span<const uint32_t>> lists,
                       absl::Span<Ranking> rankings);

}  // namespace neumf
