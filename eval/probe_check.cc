#include "eval/probe_check.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "model/user_vectors.h"

namespace neumf {
namespace {

constexpr double kRelativeTolerance = 1e-4;
// For scores that are nearly zero, where float32 terms have cancelled.
constexpr double kAbsoluteTolerance = 1e-6;

absl::Status Miss(const Probe& probe, absl::string_view what) {
  return absl::FailedPreconditionError(
      absl::StrCat("probe of user \"", Excerpt(probe.user_id), "\": ", what));
}

// How far two scores of `probe` may lie apart.
double Tolerance(const Probe& probe) {
  double largest = 0;
  for (const Probe::Item& item : probe.items) {
    largest = std::max(largest, std::abs(item.score));
  }
  return kRelativeTolerance * largest + kAbsoluteTolerance;
}

// Rows of the probe's items, in its order.
absl::StatusOr<std::vector<uint32_t>> FindRows(const Probe& probe,
                                               const IdTable& item_ids) {
  std::vector<uint32_t> rows;
  for (const Probe::Item& item : probe.items) {
    const std::optional<uint32_t> row = item_ids.Find(item.item_id);
    if (!row.has_value()) {
      return Miss(probe, absl::StrCat("item \"", Excerpt(item.item_id),
                                      "\" is not in the catalog"));
    }
    rows.push_back(*row);
  }
  return rows;
}

// The score of `row` in `items`; nothing when it is not there.
std::optional<float> ScoreOf(uint32_t row,
                             const std::vector<ScoredRow>& items) {
  const auto it =
      std::find_if(items.begin(), items.end(),
                   [&](const ScoredRow& item) { return item.row == row; });
  if (it == items.end()) return std::nullopt;
  return it->score;
}

// Two comparisons that together allow no more than swaps of close scores: each
// of the probe's items has the probe's score, and each place of our ranking has
// the score of the probe's same place. `of_items` ranks the probe's items
// alone.
absl::Status Compare(const Probe& probe, const std::vector<uint32_t>& rows,
                     const Ranking& best, const Ranking& of_items) {
  const double tolerance = Tolerance(probe);
  if (best.items.size() != probe.items.size()) {
    return Miss(probe,
                absl::StrCat("only ", best.items.size(),
                             " items are eligible, not ", probe.items.size()));
  }
  for (size_t place = 0; place < rows.size(); ++place) {
    const Probe::Item& expected = probe.items[place];
    const std::optional<float> score = ScoreOf(rows[place], of_items.items);
    if (!score.has_value()) {
      return Miss(probe, absl::StrCat("item \"", Excerpt(expected.item_id),
                                      "\" is not eligible"));
    }
    if (!(std::abs(*score - expected.score) <= tolerance)) {
      return Miss(probe, absl::StrCat("item \"", Excerpt(expected.item_id),
                                      "\" has the score ", *score, ", not ",
                                      expected.score));
    }
    if (!(std::abs(best.items[place].score - expected.score) <= tolerance)) {
      return Miss(probe, absl::StrCat("item \"", Excerpt(expected.item_id),
                                      "\" is not at place ", place + 1));
    }
  }
  return absl::OkStatus();
}

// The rows ascending; a miss when one is there twice.
absl::StatusOr<std::vector<uint32_t>> SortRows(const Probe& probe,
                                               std::vector<uint32_t> rows) {
  std::sort(rows.begin(), rows.end());
  if (std::adjacent_find(rows.begin(), rows.end()) != rows.end()) {
    return Miss(probe, "an item is there twice");
  }
  return rows;
}

absl::Status CheckProbe(const Probe& probe, const ProbedModel& model) {
  const std::optional<uint32_t> user = model.user_ids.Find(probe.user_id);
  if (!user.has_value()) return Miss(probe, "there is no such user");
  NEUMF_ASSIGN_OR_RETURN(const std::vector<uint32_t> rows,
                         FindRows(probe, model.item_ids));
  NEUMF_ASSIGN_OR_RETURN(const std::vector<uint32_t> ascending,
                         SortRows(probe, rows));
  const UserVectors vectors(model.users, *user);
  RankQuery best;
  best.user_gmf = vectors.gmf();
  best.user_tower = vectors.tower();
  best.seen = model.seen.row(*user);
  best.k = static_cast<uint32_t>(rows.size());
  RankQuery of_items = best;
  of_items.allow_rows = ascending;
  const std::array<RankQuery, 2> queries = {best, of_items};
  std::array<Ranking, 2> rankings;
  NEUMF_RETURN_IF_ERROR(model.scorer.Rank(queries, absl::MakeSpan(rankings)));
  return Compare(probe, rows, rankings[0], rankings[1]);
}

}  // namespace

absl::Status CheckProbes(absl::Span<const Probe> probes,
                         const ProbedModel& model) {
  for (const Probe& probe : probes) {
    NEUMF_RETURN_IF_ERROR(CheckProbe(probe, model));
  }
  return absl::OkStatus();
}

}  // namespace neumf
