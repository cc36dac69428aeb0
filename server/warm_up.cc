#include "server/warm_up.h"

#include <algorithm>
#include <cstdint>
#include <optional>

namespace neumf {
namespace {

constexpr uint32_t kAnyK = 10;

}  // namespace

absl::Status WarmUp(const Snapshot& snapshot,
                    const std::vector<RecentQuery>& recent, BackgroundPace pace,
                    const std::function<bool()>& cancelled) {
  std::vector<ResolvedQuery> queries;
  const uint64_t num_users = snapshot.shape().num_users;
  const uint64_t count = std::min(kBackgroundUsers, num_users);
  for (uint64_t i = 0; i < count; ++i) {
    queries.emplace_back();
    queries.back().k = kAnyK;
    queries.back().user_row = static_cast<uint32_t>(i * num_users / count);
  }
  for (const RecentQuery& query : recent) {
    const std::optional<uint32_t> row = snapshot.user_ids->Find(query.user_id);
    if (!row.has_value()) continue;
    queries.emplace_back();
    queries.back().k = query.k;
    queries.back().user_row = *row;
    queries.back().seen_policy = query.seen_policy;
  }
  return ScoreInBackground(snapshot, queries, pace, cancelled,
                           [](size_t, const Ranking&) {});
}

}  // namespace neumf
