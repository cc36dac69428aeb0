#pragma once

// What callers asked for last, so that a new version can be asked the same
// before it serves: by names, since rows mean nothing in another version.
//
// Any thread may call any method.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "neumf/v1/recommendation_service.pb.h"
#include "server/admission.h"
#include "server/snapshot.h"

namespace neumf {

struct RecentQuery {
  std::string user_id;
  uint32_t k = 0;
  v1::SeenPolicy seen_policy = v1::SEEN_POLICY_DROP;
};

class RecentQueries {
 public:
  // Enough to meet what queries differ in; all of them take a large catalog a
  // second.
  static constexpr size_t kMaxQueries = 256;

  // REQUIRES: query.served_from is SERVED_FROM_MODEL.
  void Add(const ResolvedQuery& query, const Snapshot& snapshot);
  // In no order.
  std::vector<RecentQuery> Get() const;

 private:
  mutable Mutex mutex_;
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;  // the oldest, once there are all
  std::vector<RecentQuery> queries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace neumf
