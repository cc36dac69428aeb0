#include "eval/protocols.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "eval/ranking_metrics.h"

namespace neumf {
namespace {

constexpr size_t kMaxUsersAtOnce = 64;
constexpr size_t kMaxRankingBytes = 64 << 20;  // of all users at once
constexpr uint64_t kHits = 50;

// Where the held-out item stands.
struct Place {
  uint64_t by_row = 0;  // ties by item row
  double midrank = 0;   // the middle of its group of equal scores
};

// A ranking holds the whole catalog, so a large one is ranked for fewer users.
size_t UsersAtOnce(uint64_t num_items) {
  const size_t ranking_bytes = num_items * sizeof(ScoredRow);
  return std::clamp<size_t>(kMaxRankingBytes / ranking_bytes, 1,
                            kMaxUsersAtOnce);
}

RankQuery WholeRanking(const HeldOutQuery& query, uint64_t num_items) {
  RankQuery rank;
  rank.user_gmf = query.user_gmf;
  rank.user_tower = query.user_tower;
  rank.seen = query.seen;
  rank.k = static_cast<uint32_t>(num_items);
  return rank;
}

absl::StatusOr<Place> FindPlace(absl::Span<const ScoredRow> items,
                                uint32_t held_out) {
  const auto* const item = std::find_if(
      items.begin(), items.end(),
      [&](const ScoredRow& other) { return other.row == held_out; });
  if (item == items.end()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the held-out item row ", held_out, " is not among the candidates"));
  }
  const auto better = [](const ScoredRow& a, const ScoredRow& b) {
    return a.score > b.score;
  };
  const auto tied = std::equal_range(items.begin(), items.end(), *item, better);
  const auto first = static_cast<double>(tied.first - items.begin());
  const auto last = static_cast<double>(tied.second - items.begin()) - 1;
  return Place{static_cast<uint64_t>(item - items.begin()), (first + last) / 2};
}

// Adds one user to the sums.
void AddUser(const Place& place, uint64_t num_candidates,
             LeaveOneOutMetrics& sums) {
  const auto by_row = static_cast<double>(place.by_row);
  ++sums.num_users;
  sums.hit_at_50 += HitAtK(by_row, kHits);
  sums.auc += Auc(by_row, num_candidates);
  sums.midrank_hit_at_50 += HitAtK(place.midrank, kHits);
  sums.midrank_auc += Auc(place.midrank, num_candidates);
}

LeaveOneOutMetrics Means(const LeaveOneOutMetrics& sums) {
  const auto count = static_cast<double>(sums.num_users);
  LeaveOneOutMetrics means = sums;
  means.hit_at_50 /= count;
  means.auc /= count;
  means.midrank_hit_at_50 /= count;
  means.midrank_auc /= count;
  return means;
}

}  // namespace

absl::StatusOr<LeaveOneOutMetrics> EvaluateLeaveOneOut(
    const Scorer& scorer, absl::Span<const HeldOutQuery> queries) {
  if (queries.empty()) {
    return absl::InvalidArgumentError("there is no held-out item to rank");
  }
  const uint64_t num_items = scorer.shape().num_items;
  const size_t users_at_once = UsersAtOnce(num_items);
  LeaveOneOutMetrics sums;
  std::vector<RankQuery> batch;
  std::vector<Ranking> rankings;
  for (size_t first = 0; first < queries.size(); first += users_at_once) {
    const auto users = queries.subspan(first, users_at_once);
    batch.clear();
    for (const HeldOutQuery& query : users) {
      batch.push_back(WholeRanking(query, num_items));
    }
    rankings.resize(batch.size());
    NEUMF_RETURN_IF_ERROR(scorer.Rank(batch, absl::MakeSpan(rankings)));
    for (size_t b = 0; b < users.size(); ++b) {
      absl::StatusOr<Place> place =
          FindPlace(rankings[b].items, users[b].held_out_item);
      if (!place.ok()) {
        return Annotate(place.status(), absl::StrCat("query ", first + b));
      }
      AddUser(*place, rankings[b].eligible_count, sums);
    }
  }
  return Means(sums);
}

}  // namespace neumf
