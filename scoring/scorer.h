#pragma once

// Scores the whole catalog for a batch of users, leaves out what must not be in
// the answers, and returns the best K of each user: ONE operation, so that no
// backend ever writes a score matrix.
//
//   NEUMF_ASSIGN_OR_RETURN(
//       auto builder, MakeScorerBuilder(Backend::kCpu, shape, network, {}));
//   NEUMF_RETURN_IF_ERROR(StreamItemTables(items, [&](const ItemRows& rows) {
//     return builder->Add(rows);
//   }));
//   NEUMF_ASSIGN_OR_RETURN(std::unique_ptr<Scorer> scorer, builder->Build());
//   scorer->Rank(queries, absl::MakeSpan(rankings));
//
// CONTRACT
// 1. ORDER. Items stand by score, descending; equal scores by item row,
//    ascending. -0.0 is returned as, and equals, +0.0.
// 2. EXACT. Every backend returns the items AND the float32 scores of the
//    reference backend, bit for bit, alone or in any batch, on any number of
//    threads. What fixes them is the order of operations, all in float32 with
//    fused multiply-adds, k ascending:
//      h1[k]   = act(user_tower[k] + item_tower[k])
//      hl[o]   = act(fma over k of W[o][k] * h(l-1)[k], starting at b[o])
//      score   = head_bias, then fma over user_gmf[k] * item_gmf[k],
//                then fma over head_weight[k] * hL[k], then + item_bias,
//                then + 0.0f.
// 3. COUNT. A ranking holds min(k, eligible) distinct items.
// 4. ELIGIBLE. An item is eligible when it is not in `seen`, not in `excluded`,
//    allowed by `allow_mask` where there is one, and in `allow_rows` where
//    there are some.

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/serving_model.h"
#include "scoring/item_mask.h"

namespace neumf {

// One user's question. It owns nothing: what it points to must outlive Rank().
// REQUIRES: all rows are below I.
struct RankQuery {
  const float* user_gmf = nullptr;      // [G]
  const float* user_tower = nullptr;    // [H]
  absl::Span<const uint32_t> seen;      // rows to leave out, strictly ascending
  absl::Span<const uint32_t> excluded;  // more of the same, strictly ascending
  const ItemMask* allow_mask = nullptr;  // [I]; null allows every item
  // When set, only these rows can be in the answer; strictly ascending. For
  // short lists: the cost is that of the list, not of the catalog.
  std::optional<absl::Span<const uint32_t>> allow_rows;
  uint32_t k = 0;
  // Becomes true when nobody waits for the answer any more; the CPU backend
  // looks at it between blocks of items, the CUDA one before each pass. May be
  // null.
  const std::atomic<bool>* cancelled = nullptr;
};

struct ScoredRow {
  float score = 0;
  uint32_t row = 0;

  // The order of the answers: true when `a` stands before `b`.
  friend bool operator<(const ScoredRow& a, const ScoredRow& b) {
    return a.score != b.score ? a.score > b.score : a.row < b.row;
  }
  friend bool operator==(const ScoredRow& a, const ScoredRow& b) {
    return a.score == b.score && a.row == b.row;
  }
};

// One answer. Reuse it: its memory is kept between calls.
struct Ranking {
  std::vector<ScoredRow> items;
  uint64_t eligible_count = 0;
  // For statistics: items that were scored in float32 after a first pass in low
  // precision; few, or the whole catalog when the pass left too many. 0 without
  // a pass. It may depend on the threads and on what was asked before.
  uint64_t rescored_count = 0;
  // The query's flag was seen; items and eligible_count mean nothing.
  bool cancelled = false;
};

class Scorer {
 public:
  virtual ~Scorer() = default;

  // Answers queries[b] in rankings[b]. Any number of threads may call it at the
  // same time. UNAVAILABLE when a device fails; then no ranking means anything.
  // REQUIRES: rankings.size() == queries.size().
  virtual absl::Status Rank(absl::Span<const RankQuery> queries,
                            absl::Span<Ranking> rankings) const = 0;

  virtual const ModelShape& shape() const = 0;
  // Of the item tables and weights, in the memory of the device that scores.
  virtual uint64_t resident_bytes() const = 0;
  // For logs and metrics, e.g. "cpu (AVX2)"; "reference".
  virtual const char* name() const = 0;
};

// Packs item rows into a backend's own layout as they stream in. For one thread
// at a time, which need not be the same one each time.
class ScorerBuilder {
 public:
  virtual ~ScorerBuilder() = default;

  // Copies the rows. INVALID_ARGUMENT for rows out of range, rows that come
  // twice or not in ascending order, or a table that the shape does not have.
  virtual absl::Status Add(const ItemRows& rows) = 0;

  // Once, after every row of every table was added; FAILED_PRECONDITION names a
  // table that is not complete.
  virtual absl::StatusOr<std::unique_ptr<Scorer>> Build() = 0;
};

enum class Backend {
  kReference,
  // Gives the reference on a machine without fused multiply-adds, which cannot
  // have the same bits any faster; name() tells.
  kCpu,
};

// A first pass scores the catalog in low precision with a certified bound on
// its error; only items that may be among the best are then scored in float32.
// Answers are the same with and without it, bit for bit.
//
// It costs some work a user and some an item that is left, about 2 K of small
// catalogs. The limits were measured on trained towers of three sizes: where
// they are just met the pass saves a tenth of the time or more.
struct FirstPassOptions {
  // Default: where the machine and the model allow it.
  bool enabled = true;
  // Smaller catalogs have no first pass. Default: measured.
  uint64_t min_items = 1000;
  // Nor have those whose tower layers take fewer multiply-adds in all.
  // Default: measured.
  uint64_t min_catalog_macs = 1'000'000;
  // Nor have queries with a K for which the catalog is less than this many
  // times larger. Default: measured.
  uint64_t min_items_per_result = 32;
};

struct ScorerOptions {
  // Threads that one Rank() call may use, the caller included. More shorten a
  // call as long as there are cores. Default: one.
  size_t num_threads = 1;
  // Work of fewer multiply-adds than this stays on the caller's thread: waking
  // others would take longer. Default: 70 us of a core, measured.
  uint64_t min_shared_macs = 4'000'000;
  FirstPassOptions first_pass;
  // Whether Build() keeps to the caller's thread, and so to its priority.
  // Default: it may use all threads.
  bool build_alone = false;
};

// Upper bounds on what a scorer takes of the host, known before any row is: what
// it keeps, what its making takes beside that, and what a call of Rank() works
// in for each user.
struct ScorerMemory {
  uint64_t kept_bytes = 0;
  uint64_t making_bytes = 0;
  uint64_t user_bytes = 0;
};

// Of what MakeScorerBuilder() makes of the same. REQUIRES: it would.
ScorerMemory PredictScorerMemory(Backend backend, const ModelShape& shape,
                                 const ScoreNetwork& network,
                                 const ScorerOptions& options);

// INVALID_ARGUMENT when `shape` and `network` do not fit. Memory that cannot be
// had throws std::bad_alloc.
absl::StatusOr<std::unique_ptr<ScorerBuilder>> MakeScorerBuilder(
    Backend backend, const ModelShape& shape, const ScoreNetwork& network,
    const ScorerOptions& options);

}  // namespace neumf
