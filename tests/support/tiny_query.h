#pragma once

// Queries of a tiny model's users.

#include <cstdint>

#include "scoring/scorer.h"
#include "tests/support/tiny_model.h"

namespace neumf {

// The best `k` for a user, without what the user has seen. Points into `tiny`.
inline RankQuery QueryOf(const TinyModel& tiny, uint32_t user, uint32_t k) {
  RankQuery query;
  const UserTables& users = tiny.model.users;
  if (!users.gmf.empty()) query.user_gmf = users.gmf.row(user).data();
  if (!users.tower.empty()) query.user_tower = users.tower.row(user).data();
  query.seen = tiny.model.seen.row(user);
  query.k = k;
  return query;
}

}  // namespace neumf
