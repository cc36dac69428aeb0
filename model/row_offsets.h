#pragma once

// Rows of varying length that lie one behind the other: row r reaches from
// offsets[r] to offsets[r + 1].

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace neumf {

// OK when `offsets` [n + 1] ascends from 0 to `end`, equal neighbours allowed.
// Otherwise INVALID_ARGUMENT, naming the row.
absl::Status CheckRowOffsets(absl::Span<const uint64_t> offsets, uint64_t end);

}  // namespace neumf
