#pragma once

// Looks for the highest rate at which a server keeps its goal.

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"

namespace neumf {

// What a trial at some rate showed.
enum class RateVerdict {
  kKept,
  kMissed,
  kClientTooSlow,  // says nothing about the server
};

struct RateSearchResult {
  // The highest rate that was tried and kept the goal; 0 when none did.
  double rate = 0;
  // Higher rates were beyond the client: the server may well keep them.
  bool limited_by_client = false;
};

// Doubles the rate from `start` until the goal is missed, or halves it, down to
// `lowest`, until it is kept; then bisects until both ends are within
// `precision` of each other. An error of a trial ends the search. REQUIRES:
// 0 < lowest <= start, precision > 0.
absl::StatusOr<RateSearchResult> FindHighestRate(
    double start, double lowest, double precision,
    absl::FunctionRef<absl::StatusOr<RateVerdict>(double rate)> trial);

}  // namespace neumf
