#include "tests/scoring/scorer_fixture.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "hwy/highway.h"
#include "tests/scoring/float64_twin.h"

namespace neumf {

std::string BackendCaseName(const testing::TestParamInfo<BackendCase>& info) {
  return info.param.name;
}

absl::StatusOr<std::unique_ptr<ScorerBuilder>> MakeBuilder(
    const BackendCase& backend, const ModelShape& shape,
    const ScoreNetwork& network, const FirstPassOptions& first_pass) {
  if (backend.make_builder == nullptr) {
    return MakeScorerBuilder(Backend::kReference, shape, network, {});
  }
  return backend.make_builder(shape, network, first_pass);
}

std::unique_ptr<Scorer> MakeScorer(const BackendCase& backend,
                                   const TinyModel& tiny,
                                   const FirstPassOptions& first_pass) {
  auto builder =
      MakeBuilder(backend, tiny.model.shape, tiny.model.network, first_pass);
  EXPECT_THAT(builder, IsOk());
  NEUMF_EXPECT_OK(StreamItemTables(
      tiny.items, [&](const ItemRows& rows) { return (*builder)->Add(rows); }));
  auto scorer = (*builder)->Build();
  EXPECT_THAT(scorer, IsOk());
  return *std::move(scorer);
}

std::vector<std::pair<uint32_t, uint32_t>> RowsAndScoreBits(
    const Ranking& ranking) {
  std::vector<std::pair<uint32_t, uint32_t>> result;
  for (const ScoredRow& item : ranking.items) {
    uint32_t bits = 0;
    std::memcpy(&bits, &item.score, sizeof(bits));
    result.emplace_back(item.row, bits);
  }
  return result;
}

std::vector<uint32_t> RowsOf(const Ranking& ranking) {
  std::vector<uint32_t> rows;
  for (const ScoredRow& item : ranking.items) rows.push_back(item.row);
  return rows;
}

std::vector<uint32_t> RowsBelow(uint32_t end) {
  std::vector<uint32_t> rows(end);
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

void ScorerTest::SetUp() {
  // 0, for the reference, means every target.
  hwy::SetSupportedTargetsForTest(GetParam().target);
}

void ScorerTest::TearDown() { hwy::SetSupportedTargetsForTest(0); }

void ScorerTest::Use(TinyModel tiny) {
  tiny_ = std::move(tiny);
  scorer_ = MakeScorer(GetParam(), tiny_, first_pass_);
  ASSERT_THAT(scorer_->name(), GetParam().scorer_name);
  reference_ = MakeScorer(BackendCase{}, tiny_);
}

std::vector<RankQuery> ScorerTest::QueriesOfAll(uint32_t k) const {
  std::vector<RankQuery> queries;
  for (uint32_t user = 0; user < tiny_.model.shape.num_users; ++user) {
    queries.push_back(QueryOf(user, k));
  }
  return queries;
}

Ranking ScorerTest::Rank(const RankQuery& query) const {
  return RankBatch({query}).front();
}

std::vector<Ranking> ScorerTest::RankBatch(
    const std::vector<RankQuery>& queries) const {
  std::vector<Ranking> rankings(queries.size());
  NEUMF_EXPECT_OK(scorer_->Rank(queries, absl::MakeSpan(rankings)));
  return rankings;
}

void ScorerTest::ExpectSameAsReference(
    const std::vector<RankQuery>& queries) const {
  std::vector<Ranking> expected(queries.size());
  NEUMF_ASSERT_OK(reference_->Rank(queries, absl::MakeSpan(expected)));
  const std::vector<Ranking> rankings = RankBatch(queries);
  for (size_t b = 0; b < queries.size(); ++b) {
    SCOPED_TRACE(absl::StrCat("query ", b, ", k ", queries[b].k));
    ASSERT_EQ(RowsAndScoreBits(rankings[b]), RowsAndScoreBits(expected[b]));
    ASSERT_EQ(rankings[b].eligible_count, expected[b].eligible_count);
    ASSERT_FALSE(rankings[b].cancelled);
  }
}

void ScorerTest::ExpectNearFloat64(uint32_t user) const {
  const auto num_items = static_cast<uint32_t>(tiny_.model.shape.num_items);
  RankQuery query = QueryOf(user, num_items);
  query.seen = {};
  const std::vector<ScoredRow> items = Rank(query).items;
  ASSERT_EQ(items.size(), num_items);
  const double largest =
      std::max(std::fabs(items.front().score), std::fabs(items.back().score));
  for (const ScoredRow& item : items) {
    ASSERT_NEAR(item.score, ScoreInFloat64(tiny_, user, item.row),
                kFloat32Tolerance * (1 + largest))
        << "user " << user << ", item " << item.row;
  }
}

}  // namespace neumf
