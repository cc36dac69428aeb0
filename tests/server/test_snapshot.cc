#include "tests/server/test_snapshot.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace neumf {
namespace {

std::shared_ptr<const PopularityRanking> MakePopularity(
    const std::vector<float>& popularity) {
  if (popularity.empty()) return nullptr;
  auto ranking = std::make_shared<PopularityRanking>();
  for (uint32_t row = 0; row < popularity.size(); ++row) {
    ranking->items.push_back({popularity[row], row});
  }
  std::sort(ranking->items.begin(), ranking->items.end());
  return ranking;
}

}  // namespace

TestSnapshot MakeTestSnapshot(uint64_t version,
                              const TinyModelOptions& options) {
  TinyModel tiny = MakeTinyModel(options);
  const auto stamp = static_cast<float>(version);
  AlignedMatrix& vectors = tiny.model.users.gmf;
  std::fill_n(vectors.data(), vectors.size(), stamp);

  TestSnapshot result;
  result.scorer = std::make_shared<FakeScorer>(tiny.model.shape, stamp);
  result.snapshot = std::make_unique<Snapshot>();
  Snapshot& snapshot = *result.snapshot;
  snapshot.version = version;
  snapshot.version_text = absl::StrCat(version);
  snapshot.digest = "d1935t";
  snapshot.kind = "neumf";
  snapshot.file_bytes = 2000;
  snapshot.resident_bytes = 3000;
  snapshot.scorer = result.scorer;
  snapshot.users = std::make_shared<UserTables>(std::move(tiny.model.users));
  snapshot.user_ids = std::make_shared<IdTable>(std::move(tiny.model.user_ids));
  snapshot.item_ids = std::make_shared<IdTable>(std::move(tiny.model.item_ids));
  snapshot.seen = std::make_shared<SeenSets>(std::move(tiny.model.seen));
  snapshot.popularity = MakePopularity(tiny.model.popularity);
  return result;
}

}  // namespace neumf
