#include "client/checkpoint_verification.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint_reader.h"
#include "model/serving_model.h"
#include "scoring/scorer.h"

namespace neumf {
namespace {

// Scores that differ by less, relative to max(1, |score|), count as equal: the
// exporter computed in its own order of operations.
constexpr double kTolerance = 1e-4;

bool IsClose(double a, double b) {
  return std::abs(a - b) <=
         kTolerance * std::max({1.0, std::abs(a), std::abs(b)});
}

// A model that answers, and the names to ask it by.
struct Answerer {
  ServingModel model;
  std::unique_ptr<Scorer> scorer;
};

absl::StatusOr<Answerer> LoadAnswerer(CheckpointReader& reader) {
  ScorerOptions options;
  options.num_threads = std::max(1U, std::thread::hardware_concurrency());
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<ScorerBuilder> builder,
                         MakeScorerBuilder(Backend::kCpu, reader.info().shape,
                                           reader.network(), options));
  Answerer answerer;
  NEUMF_ASSIGN_OR_RETURN(answerer.model, reader.Read([&](const ItemRows& rows) {
    return builder->Add(rows);
  }));
  NEUMF_ASSIGN_OR_RETURN(answerer.scorer, builder->Build());
  return answerer;
}

absl::StatusOr<uint32_t> FindRow(const IdTable& ids, absl::string_view id,
                                 absl::string_view what) {
  const std::optional<uint32_t> row = ids.Find(id);
  if (row.has_value()) return *row;
  return absl::FailedPreconditionError(
      absl::StrCat("there is no ", what, " \"", id, "\""));
}

// The item rows of a probe, ascending.
absl::StatusOr<std::vector<uint32_t>> ProbeRows(const Probe& probe,
                                                const IdTable& item_ids) {
  std::vector<uint32_t> rows;
  for (const Probe::Item& item : probe.items) {
    NEUMF_ASSIGN_OR_RETURN(const uint32_t row,
                           FindRow(item_ids, item.item_id, "item"));
    rows.push_back(row);
  }
  std::sort(rows.begin(), rows.end());
  if (std::adjacent_find(rows.begin(), rows.end()) != rows.end()) {
    return absl::FailedPreconditionError("an item is there twice");
  }
  return rows;
}

absl::StatusOr<std::vector<ScoredRow>> Rank(const Answerer& answerer,
                                            const RankQuery& query) {
  Ranking ranking;
  NEUMF_RETURN_IF_ERROR(answerer.scorer->Rank(absl::MakeConstSpan(&query, 1),
                                              absl::MakeSpan(&ranking, 1)));
  return std::move(ranking.items);
}

// Every item of the probe has the score that the probe gives it.
absl::Status CheckScores(const Probe& probe, const IdTable& item_ids,
                         absl::Span<const ScoredRow> scored) {
  if (scored.size() != probe.items.size()) {
    return absl::FailedPreconditionError("the user has seen one of its items");
  }
  for (const Probe::Item& item : probe.items) {
    const ScoredRow* const found = std::find_if(
        scored.begin(), scored.end(),
        [&](const ScoredRow& s) { return item_ids.id(s.row) == item.item_id; });
    if (!IsClose(found->score, item.score)) {
      return absl::FailedPreconditionError(
          absl::StrCat("item \"", item.item_id, "\" has score ", found->score,
                       ", the probe says ", item.score));
    }
  }
  return absl::OkStatus();
}

// The best items have the scores of the probe's, rank by rank. With CheckScores
// this leaves swaps of items with close scores and nothing else.
absl::Status CheckRanks(const Probe& probe, const IdTable& item_ids,
                        absl::Span<const ScoredRow> best) {
  for (size_t rank = 0; rank < probe.items.size(); ++rank) {
    if (IsClose(best[rank].score, probe.items[rank].score)) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        "rank ", rank + 1, " is item \"", item_ids.id(best[rank].row),
        "\", the probe says \"", probe.items[rank].item_id, "\""));
  }
  return absl::OkStatus();
}

absl::Status CheckProbe(const Probe& probe, const Answerer& answerer) {
  const ServingModel& model = answerer.model;
  NEUMF_ASSIGN_OR_RETURN(const uint32_t user,
                         FindRow(model.user_ids, probe.user_id, "user"));
  NEUMF_ASSIGN_OR_RETURN(const std::vector<uint32_t> rows,
                         ProbeRows(probe, model.item_ids));
  RankQuery query;
  query.user_gmf = model.users.gmf.row(user).data();
  query.user_tower = model.users.tower.row(user).data();
  query.seen = model.seen.row(user);
  query.k = static_cast<uint32_t>(rows.size());
  NEUMF_ASSIGN_OR_RETURN(const std::vector<ScoredRow> best,
                         Rank(answerer, query));
  query.allow_rows = rows;
  NEUMF_ASSIGN_OR_RETURN(const std::vector<ScoredRow> scored,
                         Rank(answerer, query));
  NEUMF_RETURN_IF_ERROR(CheckScores(probe, model.item_ids, scored));
  return CheckRanks(probe, model.item_ids, best);
}

}  // namespace

absl::StatusOr<VerifiedCheckpoint> VerifyCheckpoint(FileSystem& files,
                                                    absl::string_view path) {
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<CheckpointReader> reader,
                         CheckpointReader::Open(files, path, {}));
  NEUMF_ASSIGN_OR_RETURN(const Answerer answerer, LoadAnswerer(*reader));
  const std::vector<Probe>& probes = reader->info().manifest.probes;
  for (const Probe& probe : probes) {
    NEUMF_RETURN_IF_ERROR(Annotate(
        CheckProbe(probe, answerer),
        absl::StrCat(path, ": probe of user \"", probe.user_id, "\"")));
  }
  return VerifiedCheckpoint{reader->info().file.size_bytes, probes.size()};
}

}  // namespace neumf
