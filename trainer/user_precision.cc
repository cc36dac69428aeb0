#include "trainer/user_precision.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "eval/probe_check.h"
#include "model/user_vectors.h"
#include "scoring/scorer.h"
#include "trainer/held_out_evaluation.h"

namespace neumf {
namespace {

// As many items as the probe has, anew.
absl::Status Answer(const ServingModel& model, const Scorer& scorer,
                    Probe* probe) {
  const std::optional<uint32_t> row = model.user_ids.Find(probe->user_id);
  NEUMF_CHECK(row.has_value());  // the check of the probes has found it
  const UserVectors user(model.users, *row);
  RankQuery query;
  query.user_gmf = user.gmf();
  query.user_tower = user.tower();
  query.seen = model.seen.row(*row);
  query.k = static_cast<uint32_t>(probe->items.size());
  Ranking ranking;
  NEUMF_RETURN_IF_ERROR(
      scorer.Rank(absl::MakeConstSpan(&query, 1), absl::MakeSpan(&ranking, 1)));
  probe->items.clear();
  for (const ScoredRow& item : ranking.items) {
    probe->items.push_back(
        {std::string(model.item_ids.id(item.row)), item.score});
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<UserPrecision> ParseUserPrecision(absl::string_view text) {
  if (text == "f32") return UserPrecision::kFloat32;
  if (text == "f16") return UserPrecision::kFloat16;
  return absl::InvalidArgumentError(
      absl::StrCat("--user_precision is f32 or f16, not \"", text, "\""));
}

absl::Status SetUserPrecision(UserPrecision precision, const ItemTables& items,
                              size_t num_threads, ServingModel* model,
                              std::vector<Probe>* probes) {
  if (precision == UserPrecision::kFloat32) return absl::OkStatus();
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<Scorer> scorer,
                         BuildScorer(*model, items, num_threads));
  NEUMF_RETURN_IF_ERROR(CheckProbes(
      *probes,
      {*scorer, model->users, model->user_ids, model->item_ids, model->seen}));
  absl::StatusOr<UserTables> rounded = RoundToFloat16(model->users);
  if (!rounded.ok()) {
    return Annotate(rounded.status(), "--user_precision=f16 is too low");
  }
  model->users = *std::move(rounded);
  for (Probe& probe : *probes) {
    NEUMF_RETURN_IF_ERROR(Answer(*model, *scorer, &probe));
  }
  return absl::OkStatus();
}

}  // namespace neumf
