#include "tests/scoring/cuda/cuda_scorer_fixture.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace neumf::cuda {
namespace {

absl::StatusOr<std::unique_ptr<Scorer>> BuildWith(
    absl::StatusOr<std::unique_ptr<ScorerBuilder>> builder,
    const TinyModel& tiny) {
  NEUMF_RETURN_IF_ERROR(builder.status());
  NEUMF_RETURN_IF_ERROR(StreamItemTables(
      tiny.items, [&](const ItemRows& rows) { return (*builder)->Add(rows); }));
  return (*builder)->Build();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Scorer>> CudaScorerTest::TryBuild(
    const TinyModel& tiny) const {
  return BuildWith(
      MakeCudaScorerBuilder(tiny.model.shape, tiny.model.network, options_),
      tiny);
}

void CudaScorerTest::Use(TinyModel tiny) {
  tiny_ = std::move(tiny);
  NEUMF_ASSERT_OK_AND_ASSIGN(scorer_, TryBuild(tiny_));
  NEUMF_ASSERT_OK_AND_ASSIGN(
      reference_,
      BuildWith(MakeScorerBuilder(Backend::kReference, tiny_.model.shape,
                                  tiny_.model.network, {}),
                tiny_));
}

std::vector<RankQuery> CudaScorerTest::Queries(size_t count, uint32_t k) const {
  std::vector<RankQuery> queries;
  for (size_t b = 0; b < count; ++b) {
    queries.push_back(
        QueryOf(static_cast<uint32_t>(b % tiny_.model.shape.num_users), k));
  }
  return queries;
}

absl::Status CudaScorerTest::TryRank(
    const std::vector<RankQuery>& queries) const {
  std::vector<Ranking> rankings(queries.size());
  return scorer_->Rank(queries, absl::MakeSpan(rankings));
}

std::vector<Ranking> CudaScorerTest::Rank(
    const std::vector<RankQuery>& queries) const {
  std::vector<Ranking> rankings(queries.size());
  NEUMF_EXPECT_OK(scorer_->Rank(queries, absl::MakeSpan(rankings)));
  return rankings;
}

void CudaScorerTest::ExpectSameAsReference(
    const std::vector<RankQuery>& queries) const {
  std::vector<Ranking> expected(queries.size());
  NEUMF_ASSERT_OK(reference_->Rank(queries, absl::MakeSpan(expected)));
  const std::vector<Ranking> rankings = Rank(queries);
  for (size_t b = 0; b < queries.size(); ++b) {
    SCOPED_TRACE(absl::StrCat("query ", b, ", k ", queries[b].k));
    ASSERT_EQ(rankings[b].items, expected[b].items);
    ASSERT_EQ(rankings[b].eligible_count, expected[b].eligible_count);
  }
}

}  // namespace neumf::cuda
