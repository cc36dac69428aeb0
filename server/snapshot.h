#pragma once

// One loaded checkpoint, ready to answer: what is served at a moment.
//
// Its parts are shared separately, so that a new version can reuse those that
// did not change. A snapshot and its parts are immutable, but for what is
// blocked, and may be read by any number of threads. One answer uses one
// snapshot, from the lookup of the user's row to the names of the items: rows
// mean nothing in another.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "checkpoint/part_digests.h"
#include "model/score_bound.h"
#include "model/serving_model.h"
#include "scoring/scorer.h"
#include "server/blocked_rows.h"

namespace neumf {

// Items by popularity, for users that the model does not know.
struct PopularityRanking {
  std::vector<ScoredRow> items;  // [I] all items, best first
};

struct Snapshot {
  uint64_t version = 0;
  std::string version_text;  // the decimal text of `version`
  std::string digest;        // SHA-256 of the checkpoint's header, hex
  std::string kind;          // the manifest's model_kind
  absl::Time trained_time = absl::InfinitePast();  // the manifest's created_at
  uint64_t file_bytes = 0;
  uint64_t resident_bytes = 0;  // of all parts
  uint64_t shared_bytes = 0;    // of those, what the version before has, too
  // What a later version compares itself with; no bound: with nothing.
  PartDigests part_digests;
  std::shared_ptr<const ScoreBound> bound;

  std::shared_ptr<const Scorer> scorer;  // item tables and network
  // Which life of the GPU (scoring_device.h) the scorer lives in; none: it is
  // the CPU's.
  std::optional<uint64_t> device_life;
  // That it takes of the GPU, buffers included; 0 when the CPU scores.
  uint64_t device_bytes = 0;
  std::shared_ptr<const UserTables> users;
  std::shared_ptr<const IdTable> user_ids;
  std::shared_ptr<const IdTable> item_ids;
  std::shared_ptr<const SeenSets> seen;
  std::shared_ptr<const PopularityRanking> popularity;  // null: no fallback
  // Whom and what it must not answer with; never null.
  std::shared_ptr<BlockedRowsHolder> blocked =
      std::make_shared<BlockedRowsHolder>();

  const ModelShape& shape() const { return scorer->shape(); }
};

}  // namespace neumf
