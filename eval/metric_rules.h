#pragma once

// The metrics of each protocol as a table: what eval/protocols.h promises.

#include <cstdint>

#include "absl/types/span.h"
#include "eval/places.h"
#include "eval/protocols.h"

namespace neumf {

enum class RankedList { kCatalog, kNegatives };
enum class Ties { kByRow, kBehind, kHalf };

// What a metric of one user is computed from.
struct RankedUser {
  absl::Span<const double> places;  // ascending, those above the depth
  uint64_t num_held_out = 0;
  uint64_t num_candidates = 0;
};

struct MetricRule {
  const char* name;
  RankedList list;
  Ties ties;
  double (*value)(const RankedUser& user);
};

struct ProtocolRules {
  absl::Span<const MetricRule> metrics;
  // Places of the catalog from here on count as not found.
  uint64_t depth = 0;
};

inline constexpr uint64_t kWholeList = ~uint64_t{0};

ProtocolRules RulesOf(const EvaluationOptions& options);

// The places that a rule of ties gives.
const std::vector<double>& PlacesUnder(Ties ties, const Places& places);

}  // namespace neumf
