#include "eval/ranked_lists.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

constexpr size_t kMaxUsersAtOnce = 64;
constexpr size_t kMaxRankingBytes = 64 << 20;  // of all users at once
// How much deeper the next look goes where ties reach over the end of a list.
constexpr uint64_t kDeeper = 8;

RankQuery CatalogQuery(const HeldOutQuery& user,
                       absl::Span<const uint32_t> excluded, uint64_t k) {
  RankQuery query;
  query.user_gmf = user.user_gmf;
  query.user_tower = user.user_tower;
  query.seen = user.seen;
  query.excluded = excluded;
  query.k = static_cast<uint32_t>(k);
  return query;
}

RankQuery ListQuery(const HeldOutQuery& user, absl::Span<const uint32_t> list) {
  RankQuery query;
  query.user_gmf = user.user_gmf;
  query.user_tower = user.user_tower;
  query.allow_rows = list;
  query.k = static_cast<uint32_t>(list.size());
  return query;
}

// A scorer leaves out what has no place in an order.
absl::Status CheckNumbers(const Ranking& ranking, uint64_t k) {
  const uint64_t expected = std::min(k, ranking.eligible_count);
  if (ranking.items.size() == expected) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the model is broken: ", expected - ranking.items.size(),
                   " of the scores that are ranked are not a number"));
}

// Whether items beyond the list may score the same as one above the depth.
bool EndsWithinATie(const Ranking& ranking, uint64_t depth) {
  const std::vector<ScoredRow>& items = ranking.items;
  return items.size() < ranking.eligible_count && depth > 0 &&
         items[depth - 1].score == items.back().score;
}

// Until the user's list is as RankCatalogs() says.
absl::Status RankDeeper(const Scorer& scorer, uint64_t depth, RankQuery query,
                        Ranking& ranking) {
  const uint64_t num_items = scorer.shape().num_items;
  NEUMF_RETURN_IF_ERROR(CheckNumbers(ranking, query.k));
  while (EndsWithinATie(ranking, depth)) {
    query.k = static_cast<uint32_t>(std::min(num_items, query.k * kDeeper));
    NEUMF_RETURN_IF_ERROR(scorer.Rank({query}, absl::MakeSpan(&ranking, 1)));
    NEUMF_RETURN_IF_ERROR(CheckNumbers(ranking, query.k));
  }
  return absl::OkStatus();
}

}  // namespace

size_t UsersAtOnce(uint64_t depth, uint64_t num_items) {
  const size_t ranking_bytes = std::min(depth, num_items) * sizeof(ScoredRow);
  return std::clamp<size_t>(kMaxRankingBytes / ranking_bytes, 1,
                            kMaxUsersAtOnce);
}

absl::Status RankCatalogs(const Scorer& scorer, uint64_t depth,
                          absl::Span<const uint32_t> excluded,
                          absl::Span<const HeldOutQuery> users,
                          absl::Span<Ranking> rankings) {
  const uint64_t num_items = scorer.shape().num_items;
  // One more shows whether the last group of equal scores goes on.
  const uint64_t k = depth < num_items ? depth + 1 : num_items;
  std::vector<RankQuery> batch;
  batch.reserve(users.size());
  for (const HeldOutQuery& user : users) {
    batch.push_back(CatalogQuery(user, excluded, k));
  }
  NEUMF_RETURN_IF_ERROR(scorer.Rank(batch, rankings));
  for (size_t b = 0; b < users.size(); ++b) {
    NEUMF_RETURN_IF_ERROR(RankDeeper(scorer, depth, batch[b], rankings[b]));
  }
  return absl::OkStatus();
}

absl::Status RankLists(const Scorer& scorer,
                       absl::Span<const HeldOutQuery> users,
                       absl::Span<const absl::Span<const uint32_t>> lists,
                       absl::Span<Ranking> rankings) {
  std::vector<RankQuery> batch;
  batch.reserve(users.size());
  for (size_t b = 0; b < users.size(); ++b) {
    batch.push_back(ListQuery(users[b], lists[b]));
  }
  NEUMF_RETURN_IF_ERROR(scorer.Rank(batch, rankings));
  for (size_t b = 0; b < users.size(); ++b) {
    NEUMF_RETURN_IF_ERROR(CheckNumbers(rankings[b], lists[b].size()));
  }
  return absl::OkStatus();
}

}  // namespace neumf
