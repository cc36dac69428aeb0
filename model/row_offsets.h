#pragma once

// Rows of varying length that lie one behind the other: row r reaches from
// offsets[r] to offsets[r + 1].

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/thread_pool.h"

namespace neumf {

// OK when `offsets` [n + 1] ascends from 0 to `end`, equal neighbours allowed.
// Otherwise INVALID_ARGUMENT, naming the row.
absl::Status CheckRowOffsets(absl::Span<const uint64_t> offsets, uint64_t end);

// Calls body(begin, end) for ranges that make up [0, num_rows), on all threads.
// Returns the failure of the first range that fails.
absl::Status ForRowRanges(
    ThreadPool& threads, uint64_t num_rows,
    absl::FunctionRef<absl::Status(uint64_t begin, uint64_t end)> body);

}  // namespace neumf
