#include "tests/scoring/cuda/reference_answers.h"

#include <memory>

#include "absl/types/span.h"
#include "tests/support/status_matchers.h"

namespace neumf::cuda {

std::vector<Ranking> ReferenceAnswers(const TinyModel& tiny,
                                      const std::vector<RankQuery>& queries) {
  auto builder = MakeScorerBuilder(Backend::kReference, tiny.model.shape,
                                   tiny.model.network, {});
  NEUMF_EXPECT_OK(builder);
  NEUMF_EXPECT_OK(StreamItemTables(
      tiny.items, [&](const ItemRows& rows) { return (*builder)->Add(rows); }));
  const auto scorer = (*builder)->Build();
  NEUMF_EXPECT_OK(scorer);
  std::vector<Ranking> rankings(queries.size());
  NEUMF_EXPECT_OK((*scorer)->Rank(queries, absl::MakeSpan(rankings)));
  return rankings;
}

}  // namespace neumf::cuda
