#include "server/recent_queries.h"

#include "absl/strings/string_view.h"

namespace neumf {

void RecentQueries::Add(const ResolvedQuery& query, const Snapshot& snapshot) {
  const absl::string_view id = snapshot.user_ids->id(query.user_row);
  MutexLock lock(&mutex_);
  if (queries_.size() < kMaxQueries) queries_.emplace_back();
  RecentQuery& oldest = queries_[next_];
  oldest.user_id.assign(id.data(), id.size());  // into memory that it has
  oldest.k = query.k;
  oldest.seen_policy = query.seen_policy;
  next_ = (next_ + 1) % kMaxQueries;
}

std::vector<RecentQuery> RecentQueries::Get() const {
  MutexLock lock(&mutex_);
  return queries_;
}

}  // namespace neumf
