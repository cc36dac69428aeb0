#pragma once

// Whether two scorers gave the same answer.

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "scoring/scorer.h"

namespace neumf {

// OK when each ranking of `theirs` holds the items of `ours`, except that items
// whose scores are equal up to float32 rounding may have changed places with
// each other, or with an item that just missed the ranking. Otherwise INTERNAL,
// naming `contestant`, the user and the place.
absl::Status CheckSameItems(absl::string_view contestant,
                            absl::Span<const Ranking> ours,
                            absl::Span<const Ranking> theirs);

}  // namespace neumf
