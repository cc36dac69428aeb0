#include "server/background_scoring.h"

#include <chrono>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

absl::Status ScoreStep(const Snapshot& snapshot,
                       absl::Span<const ResolvedQuery> queries,
                       std::vector<Ranking>* rankings) {
  std::vector<UserVectors> users;
  std::vector<RankQuery> step;
  for (const ResolvedQuery& query : queries) {
    users.emplace_back(*snapshot.users, query.user_row);
    step.push_back(MakeRankQuery(query, snapshot, users.back()));
  }
  return snapshot.scorer->Rank(step,
                               absl::MakeSpan(*rankings).first(step.size()));
}

}  // namespace

absl::Status ScoreInBackground(
    const Snapshot& snapshot, absl::Span<const ResolvedQuery> queries,
    BackgroundPace pace, const std::function<bool()>& cancelled,
    const std::function<void(size_t, const Ranking&)>& use) {
  std::vector<Ranking> rankings(kBackgroundUsers);
  for (size_t first = 0; first < queries.size(); first += kBackgroundUsers) {
    if (cancelled()) return absl::CancelledError("the load was given up");
    const auto step = queries.subspan(first, kBackgroundUsers);
    const auto begin = std::chrono::steady_clock::now();
    NEUMF_RETURN_IF_ERROR(ScoreStep(snapshot, step, &rankings));
    for (size_t i = 0; i < step.size(); ++i) use(first + i, rankings[i]);
    if (pace == BackgroundPace::kQuarter) {
      absl::SleepFor(
          3 * absl::FromChrono(std::chrono::steady_clock::now() - begin));
    }
  }
  return absl::OkStatus();
}

}  // namespace neumf
