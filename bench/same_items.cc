#include "bench/same_items.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "absl/strings/str_cat.h"

namespace neumf {
namespace {

// A few hundred multiply-adds in another order differ by some units in the last
// place of the largest sum on the way, which is not far above the scores.
constexpr float kRelativeRounding = 3e-5F;

float RoundingOf(const Ranking& ranking) {
  float largest = 1;
  for (const ScoredRow& item : ranking.items) {
    largest = std::max(largest, std::fabs(item.score));
  }
  return largest * kRelativeRounding;
}

// The first place at which the rankings truly differ; their size if none.
size_t FirstDifference(const Ranking& ours, const Ranking& theirs) {
  const float rounding = RoundingOf(ours);
  std::unordered_map<uint32_t, float> our_scores;
  for (const ScoredRow& item : ours.items) {
    our_scores.emplace(item.row, item.score);
  }
  for (size_t i = 0; i < theirs.items.size(); ++i) {
    const ScoredRow& item = theirs.items[i];
    if (std::fabs(item.score - ours.items[i].score) > rounding) return i;
    // Each row of ours is found once: a row that comes twice is a difference.
    const auto found = our_scores.find(item.row);
    const float our_score =
        found != our_scores.end() ? found->second : ours.items.back().score;
    if (std::fabs(item.score - our_score) > rounding) return i;
    if (found != our_scores.end()) our_scores.erase(found);
  }
  return theirs.items.size();
}

}  // namespace

absl::Status CheckSameItems(absl::string_view contestant,
                            absl::Span<const Ranking> ours,
                            absl::Span<const Ranking> theirs) {
  for (size_t b = 0; b < ours.size(); ++b) {
    if (ours[b].items.size() != theirs[b].items.size()) {
      return absl::InternalError(absl::StrCat(
          contestant, " gives user ", b, " of the batch ",
          theirs[b].items.size(), " items instead of ", ours[b].items.size()));
    }
    const size_t place = FirstDifference(ours[b], theirs[b]);
    if (place == ours[b].items.size()) continue;
    const ScoredRow& ours_there = ours[b].items[place];
    const ScoredRow& theirs_there = theirs[b].items[place];
    return absl::InternalError(absl::StrCat(
        contestant, " gives user ", b, " of the batch item ", theirs_there.row,
        " (", theirs_there.score, ") at place ", place, " instead of ",
        ours_there.row, " (", ours_there.score, ")"));
  }
  return absl::OkStatus();
}

}  // namespace neumf
