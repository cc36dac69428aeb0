#pragma once

// Evaluation protocols, each ranking through the scorer that serves.
//
//   EvaluationOptions options;
//   options.protocol = Protocol::kFull;
//   NEUMF_ASSIGN_OR_RETURN(const Evaluation evaluation,
//                          EvaluateProtocol(*scorer, queries, options));
//
// PROTOCOLS. The catalog of a user is every item that is neither among the
// user's seen ones nor in EvaluationOptions::excluded. Metrics are those of
// eval/ranking_metrics.h; means are over the queries.
//  - kD2l: hit@50, auc. Ranks the catalog, ties by item row. Of several
//    held-out items hit@50 counts those among the first 50, auc takes the first.
//  - kNcf: hr@10, ndcg@10, hr@10_full. Ranks the one held-out item among its
//    negatives, where it stands behind every item of the same score; "_full" in
//    the catalog, ties by item row.
//  - kTriplet: auc, precision@5, precision@10, recall@10, ndcg@10, map, mrr.
//    Ranks the catalog; ties count half in auc, elsewhere they go by item row.
//    Demoted items stand below all others.
//  - kFull: recall@20, ndcg@20, precision@10, map@1000, mrr@1000. Ranks the
//    catalog, ties by item row. Held-out items behind the first 1000 count as
//    not found: whole rankings of a large catalog take many times longer and
//    change nothing that anybody looks at. Whole lists give map and mrr instead.

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "eval/evaluation.h"
#include "scoring/scorer.h"

namespace neumf {

enum class Protocol { kD2l, kNcf, kTriplet, kFull };

// "d2l", "ncf", "triplet" or "full"; INVALID_ARGUMENT names the choices.
absl::StatusOr<Protocol> ParseProtocol(absl::string_view text);
absl::string_view ProtocolName(Protocol protocol);

// One user to evaluate. It owns nothing.
// REQUIRES: all rows are below the scorer's I.
struct HeldOutQuery {
  const float* user_gmf = nullptr;    // [G]
  const float* user_tower = nullptr;  // [H]
  // What was trained on: strictly ascending.
  absl::Span<const uint32_t> seen;
  // At least one, strictly ascending; none of them seen or excluded.
  absl::Span<const uint32_t> held_out;
  // kNcf only: in any order. Items that repeat, and the held-out one among
  // them, count once.
  absl::Span<const uint32_t> negatives;
  // kTriplet only: to be ranked below all others, in any order.
  absl::Span<const uint32_t> demoted;
};

struct EvaluationOptions {
  Protocol protocol = Protocol::kD2l;
  // Rows that are in nobody's catalog, strictly ascending.
  absl::Span<const uint32_t> excluded;
  // kFull only: see there.
  bool whole_lists = false;
};

// INVALID_ARGUMENT, naming the query by its place, for one that is not as
// HeldOutQuery says or that the protocol cannot rank, and when there is no
// query; FAILED_PRECONDITION when a score is not a number.
absl::StatusOr<Evaluation> EvaluateProtocol(
    const Scorer& scorer, absl::Span<const HeldOutQuery> queries,
    const EvaluationOptions& options);

}  // namespace neumf
