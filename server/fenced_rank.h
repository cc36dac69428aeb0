#pragma once

#include <exception>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "scoring/scorer.h"

namespace neumf {

// Scorer::Rank(). Exceptions of a backend, memory above all, become its
// failure; not UNAVAILABLE, which would mean that its device is lost.
inline absl::Status RankFenced(const Scorer& scorer,
                               absl::Span<const RankQuery> queries,
                               absl::Span<Ranking> rankings) {
  try {
    return scorer.Rank(queries, rankings);
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
}

}  // namespace neumf
