#include "server/snapshot_parts.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

namespace neumf {
namespace {

std::shared_ptr<const PopularityRanking> OrderByPopularity(
    const std::vector<float>& popularity) {
  if (popularity.empty()) return nullptr;
  auto ranking = std::make_shared<PopularityRanking>();
  ranking->items.reserve(popularity.size());
  for (size_t row = 0; row < popularity.size(); ++row) {
    // Adding 0 makes +0.0 of -0.0, as in all scores.
    ranking->items.push_back(
        {popularity[row] + 0.0F, static_cast<uint32_t>(row)});
  }
  std::sort(ranking->items.begin(), ranking->items.end());
  return ranking;
}

uint64_t BytesOf(const Scorer& part) { return part.resident_bytes(); }
uint64_t BytesOf(const IdTable& part) { return part.resident_bytes(); }
uint64_t BytesOf(const SeenSets& part) { return part.resident_bytes(); }
uint64_t BytesOf(const UserTables& part) { return HostBytes(part); }
uint64_t BytesOf(const PopularityRanking& part) {
  return part.items.size() * sizeof(ScoredRow);
}

template <typename Part>
uint64_t BytesIf(bool counts, const std::shared_ptr<Part>& part) {
  return counts && part != nullptr ? BytesOf(*part) : 0;
}

// The old part where it is kept, else one of `value`.
template <typename Part>
std::shared_ptr<const Part> Take(bool kept,
                                 const std::shared_ptr<const Part>& old,
                                 Part value) {
  return kept ? old : std::make_shared<const Part>(std::move(value));
}

}  // namespace

uint64_t ResidentBytes(const Snapshot& snapshot) {
  return BytesIf(true, snapshot.scorer) + BytesIf(true, snapshot.users) +
         BytesIf(true, snapshot.user_ids) + BytesIf(true, snapshot.item_ids) +
         BytesIf(true, snapshot.seen) + BytesIf(true, snapshot.popularity);
}

uint64_t HostBytes(const Snapshot& snapshot) {
  return snapshot.resident_bytes -
         BytesIf(snapshot.device_life.has_value(), snapshot.scorer);
}

uint64_t SharedBytes(const Snapshot& a, const Snapshot& b) {
  return BytesIf(a.scorer == b.scorer, a.scorer) +
         BytesIf(a.users == b.users, a.users) +
         BytesIf(a.user_ids == b.user_ids, a.user_ids) +
         BytesIf(a.item_ids == b.item_ids, a.item_ids) +
         BytesIf(a.seen == b.seen, a.seen) +
         BytesIf(a.popularity == b.popularity, a.popularity);
}

void TakeParts(const ModelParts& kept, const Snapshot* served,
               ServingModel model, Snapshot* snapshot) {
  static const Snapshot& none = *new Snapshot;
  const Snapshot& old = served == nullptr ? none : *served;
  snapshot->users = Take(kept.user_tables, old.users, std::move(model.users));
  snapshot->user_ids =
      Take(kept.user_ids, old.user_ids, std::move(model.user_ids));
  snapshot->item_ids =
      Take(kept.item_ids, old.item_ids, std::move(model.item_ids));
  snapshot->seen = Take(kept.seen, old.seen, std::move(model.seen));
  snapshot->popularity =
      kept.popularity ? old.popularity : OrderByPopularity(model.popularity);
  if (kept.items) snapshot->scorer = old.scorer;
}

}  // namespace neumf
