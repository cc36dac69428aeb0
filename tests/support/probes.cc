#include "tests/support/probes.h"

#include <optional>
#include <string>
#include <utility>

#include "base/logging.h"
#include "model/user_vectors.h"

namespace neumf {

std::unique_ptr<Scorer> MakeReferenceScorer(const TinyModel& tiny) {
  auto builder = MakeScorerBuilder(Backend::kReference, tiny.model.shape,
                                   tiny.model.network, {});
  NEUMF_CHECK(builder.ok());
  NEUMF_CHECK(StreamItemTables(tiny.items, [&](const ItemRows& rows) {
                return (*builder)->Add(rows);
              }).ok());
  auto scorer = (*builder)->Build();
  NEUMF_CHECK(scorer.ok());
  return *std::move(scorer);
}

ProbedModel MakeProbedModel(const TinyModel& tiny, const Scorer& scorer) {
  return {scorer, tiny.model.users, tiny.model.user_ids, tiny.model.item_ids,
          tiny.model.seen};
}

Probe MakeProbe(const ProbedModel& model, absl::string_view user_id,
                uint32_t k) {
  const std::optional<uint32_t> user = model.user_ids.Find(user_id);
  NEUMF_CHECK(user.has_value());
  const UserVectors vectors(model.users, *user);
  RankQuery query;
  query.user_gmf = vectors.gmf();
  query.user_tower = vectors.tower();
  query.seen = model.seen.row(*user);
  query.k = k;
  Ranking ranking;
  NEUMF_CHECK(
      model.scorer
          .Rank(absl::MakeConstSpan(&query, 1), absl::MakeSpan(&ranking, 1))
          .ok());
  Probe probe;
  probe.user_id = std::string(user_id);
  for (const ScoredRow& item : ranking.items) {
    probe.items.push_back(
        {std::string(model.item_ids.id(item.row)), item.score});
  }
  return probe;
}

}  // namespace neumf
