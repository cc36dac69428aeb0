// The input is a BatchRecommendRequest as it comes over the wire. Whatever it
// is, each request is refused as the caller's fault or becomes a query whose
// rows are all in range, and the CPU scorer ranks the queries of the batch as
// the reference does.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/logging.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/stubs/logging.h"
#include "neumf/v1/recommendation_service.pb.h"
#include "scoring/scorer.h"
#include "server/admission.h"
#include "server/snapshot.h"
#include "tests/support/tiny_model.h"

namespace neumf {
namespace {

const RequestLimits kLimits;

// A snapshot, and the scorer that its own is held to.
struct World {
  Snapshot snapshot;
  BlockedRows blocked;  // the second user and every fifth item
  std::unique_ptr<const Scorer> reference;
};

std::unique_ptr<const Scorer> MakeScorer(Backend backend,
                                         const TinyModel& tiny) {
  auto builder =
      MakeScorerBuilder(backend, tiny.model.shape, tiny.model.network, {});
  NEUMF_CHECK(builder.ok());
  const absl::Status streamed = StreamItemTables(
      tiny.items, [&](const ItemRows& rows) { return (*builder)->Add(rows); });
  NEUMF_CHECK(streamed.ok());
  return (*builder)->Build().value();
}

// Three blocks of items, the last one not full; users "u0" to "u6".
World MakeWorld() {
  // Protobuf would write a line for each string that is not UTF-8.
  google::protobuf::SetLogHandler(nullptr);
  TinyModelOptions options;
  options.num_items = 40;
  options.seen_per_user = 9;
  TinyModel tiny = MakeTinyModel(options);
  auto popularity = std::make_shared<PopularityRanking>();
  for (uint32_t row = 0; row < options.num_items; ++row) {
    popularity->items.push_back({tiny.model.popularity[row], row});
  }
  std::sort(popularity->items.begin(), popularity->items.end());

  World world;
  world.reference = MakeScorer(Backend::kReference, tiny);
  Snapshot& snapshot = world.snapshot;
  snapshot.scorer = MakeScorer(Backend::kCpu, tiny);
  snapshot.users = std::make_shared<UserTables>(std::move(tiny.model.users));
  snapshot.user_ids = std::make_shared<IdTable>(std::move(tiny.model.user_ids));
  snapshot.item_ids = std::make_shared<IdTable>(std::move(tiny.model.item_ids));
  snapshot.seen = std::make_shared<SeenSets>(std::move(tiny.model.seen));
  snapshot.popularity = std::move(popularity);
  world.blocked.users.insert(1);
  world.blocked.allowed_items = ItemMask::All(snapshot.shape().num_items);
  for (uint64_t row = 0; row < snapshot.shape().num_items; row += 5) {
    world.blocked.allowed_items->Clear(row);
    ++world.blocked.num_items;
  }
  return world;
}

bool AscendBelow(absl::Span<const uint32_t> rows, uint64_t end) {
  return std::adjacent_find(rows.begin(), rows.end(), std::greater_equal<>()) ==
             rows.end() &&
         (rows.empty() || rows.back() < end);
}

void CheckResolved(const v1::RecommendRequest& request,
                   const ResolvedQuery& query, const World& world) {
  const Snapshot& snapshot = world.snapshot;
  const ModelShape& shape = snapshot.shape();
  NEUMF_CHECK(query.k >= 1 && query.k <= static_cast<uint32_t>(kLimits.max_k));
  NEUMF_CHECK(AscendBelow(query.excluded, shape.num_items));
  NEUMF_CHECK(query.seen_policy != v1::SEEN_POLICY_UNSPECIFIED);
  if (query.served_from == v1::SERVED_FROM_POPULAR) {
    const auto row = snapshot.user_ids->Find(request.user_id());
    NEUMF_CHECK(!row || world.blocked.BlocksUser(*row));
    return;
  }
  NEUMF_CHECK(query.served_from == v1::SERVED_FROM_MODEL);
  NEUMF_CHECK(query.user_row < shape.num_users);
  NEUMF_CHECK(!world.blocked.BlocksUser(query.user_row));
  NEUMF_CHECK(snapshot.user_ids->id(query.user_row) == request.user_id());
}

void CheckRankQuery(const RankQuery& query, const ModelShape& shape) {
  NEUMF_CHECK(query.k >= 1 && query.k <= shape.num_items);
  NEUMF_CHECK(AscendBelow(query.seen, shape.num_items));
  NEUMF_CHECK(AscendBelow(query.excluded, shape.num_items));
  NEUMF_CHECK(!query.allow_rows ||
              AscendBelow(*query.allow_rows, shape.num_items));
  NEUMF_CHECK(query.user_gmf != nullptr && query.user_tower != nullptr);
}

// Only what the request may have, and as much of it as it asked for.
void CheckRanking(const ResolvedQuery& query, const Ranking& ranking,
                  const World& world) {
  NEUMF_CHECK(ranking.items.size() ==
              std::min<uint64_t>(query.k, ranking.eligible_count));
  NEUMF_CHECK(std::is_sorted(ranking.items.begin(), ranking.items.end()));
  for (const ScoredRow& item : ranking.items) {
    NEUMF_CHECK(!world.blocked.BlocksItem(item.row));
    NEUMF_CHECK(!std::binary_search(query.excluded.begin(),
                                    query.excluded.end(), item.row));
  }
}

bool SameBits(const ScoredRow& a, const ScoredRow& b) {
  return a.row == b.row && std::memcmp(&a.score, &b.score, sizeof(float)) == 0;
}

std::vector<Ranking> Rank(const Scorer& scorer,
                          const std::vector<RankQuery>& queries) {
  std::vector<Ranking> rankings(queries.size());
  NEUMF_CHECK(scorer.Rank(queries, absl::MakeSpan(rankings)).ok());
  return rankings;
}

void CheckScoring(const std::vector<ResolvedQuery>& resolved,
                  const World& world) {
  std::vector<UserVectors> users;
  std::vector<RankQuery> queries;
  for (const ResolvedQuery& query : resolved) {
    users.emplace_back(*world.snapshot.users, query.user_row);
    queries.push_back(MakeRankQuery(query, world.snapshot, users.back()));
    queries.back().allow_mask = world.blocked.mask();
    CheckRankQuery(queries.back(), world.snapshot.shape());
  }
  const std::vector<Ranking> rankings = Rank(*world.snapshot.scorer, queries);
  const std::vector<Ranking> expected = Rank(*world.reference, queries);
  for (size_t b = 0; b < queries.size(); ++b) {
    const std::vector<ScoredRow>& items = rankings[b].items;
    CheckRanking(resolved[b], rankings[b], world);
    NEUMF_CHECK(rankings[b].eligible_count == expected[b].eligible_count);
    NEUMF_CHECK(std::equal(items.begin(), items.end(),
                           expected[b].items.begin(), expected[b].items.end(),
                           SameBits));
  }
}

bool IsRefused(const absl::Status& status) {
  NEUMF_CHECK(status.ok() || absl::IsInvalidArgument(status) ||
              absl::IsNotFound(status));
  NEUMF_CHECK(status.ok() || !status.message().empty());
  return !status.ok();
}

void CheckBatchOf(absl::string_view bytes, const World& world) {
  v1::BatchRecommendRequest batch;
  if (IsRefused(ParseRequest(bytes, &batch))) return;
  google::protobuf::io::ArrayInputStream stream(bytes.data(),
                                                static_cast<int>(bytes.size()));
  const BatchOutline outline = OutlineBatch(&stream);
  NEUMF_CHECK(outline.num_requests == batch.requests_size());
  if (IsRefused(CheckBatch(outline, kLimits))) return;
  std::vector<ResolvedQuery> scored;
  for (const v1::RecommendRequest& request : batch.requests()) {
    if (IsRefused(CheckRequest(request, kLimits))) continue;
    auto query = Resolve(request, kLimits, world.snapshot, world.blocked);
    if (IsRefused(query.status())) continue;
    CheckResolved(request, *query, world);
    if (query->served_from == v1::SERVED_FROM_POPULAR) {
      CheckRanking(*query,
                   RankByPopularity(*query, world.snapshot, world.blocked),
                   world);
    } else {
      scored.push_back(*std::move(query));
    }
  }
  CheckScoring(scored, world);
}

}  // namespace
}  // namespace neumf

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const neumf::World world = neumf::MakeWorld();
  neumf::CheckBatchOf({reinterpret_cast<const char*>(data), size}, world);
  return 0;
}
