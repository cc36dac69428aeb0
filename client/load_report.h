#pragma once

// LoadResult for people and for programs.

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "client/load_result.h"
#include "client/rate_search.h"

namespace neumf {

// A run as lines of text: a row of times for all calls, for those answered,
// refused and failed, and for the lag of the client; then counts by code and
// the goodput. A quantile that unanswered calls reach is "never".
std::string LoadTable(const LoadResult& result);

// A run as one JSON object on one line. Times are seconds, or null for never.
std::string LoadJson(const LoadResult& result);

// OK when the client kept up, so that the times are those of the server: the p99
// of its lag is at most `max_lag`, and there was time for the answers.
absl::Status CheckClient(const LoadResult& result, absl::Duration max_lag);

// One rate of a search, in the order of trial.
struct RateTrial {
  LoadResult result;
  RateVerdict verdict;
};

// Row by row what was tried, then the rate that was found.
std::string SweepTable(absl::Span<const RateTrial> trials,
                       const RateSearchResult& found, absl::Duration goal);
// One JSON object: the rate that was found, and the trials as LoadJson() has
// them.
std::string SweepJson(absl::Span<const RateTrial> trials,
                      const RateSearchResult& found, absl::Duration goal);

}  // namespace neumf
