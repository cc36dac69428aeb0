#include <vector>

#include "scoring/scorer.h"
#include "tests/scoring/scorer_fixture.h"

namespace neumf {
namespace {

using testing::HasSubstr;

class ScorerBuilderTest : public ScorerTest {
 protected:
  void SetUp() override {
    ScorerTest::SetUp();
    TinyModelOptions options;
    options.num_items = 50;
    options.gmf_width = 3;
    options.tower_widths = {5, 4};
    options.item_bias = false;
    tiny_ = MakeTinyModel(options);
    auto builder = Make(tiny_.model.shape, tiny_.model.network);
    ASSERT_THAT(builder, IsOk());
    builder_ = *std::move(builder);
  }

  absl::StatusOr<std::unique_ptr<ScorerBuilder>> Make(
      const ModelShape& shape, const ScoreNetwork& network) const {
    return MakeBuilder(GetParam(), shape, network);
  }

  absl::Status Add(ItemTable table, uint64_t first_row, uint64_t num_rows) {
    const AlignedMatrix& matrix =
        table == ItemTable::kTower ? tiny_.items.tower : tiny_.items.gmf;
    // A misplaced run is refused before its values are looked at.
    return builder_->Add(
        {table, first_row, num_rows,
         matrix.data() + std::min<uint64_t>(first_row, 49) * matrix.cols()});
  }

  std::vector<std::pair<uint32_t, uint32_t>> Answer(const Scorer& scorer) {
    RankQuery query;
    query.user_gmf = tiny_.model.users.gmf.row(0).data();
    query.user_tower = tiny_.model.users.tower.row(0).data();
    query.k = 50;
    std::vector<Ranking> rankings(1);
    NEUMF_EXPECT_OK(scorer.Rank({query}, absl::MakeSpan(rankings)));
    return RowsAndScoreBits(rankings[0]);
  }

  std::unique_ptr<ScorerBuilder> builder_;
};

INSTANTIATE_TEST_SUITE_P(Backends, ScorerBuilderTest,
                         testing::ValuesIn(AllBackends()), BackendCaseName);

TEST_P(ScorerBuilderTest, TakesRowsInChunksOfAnySizeAndTablesInAnyOrder) {
  NEUMF_ASSERT_OK(Add(ItemTable::kGmf, 0, 1));
  uint64_t row = 0;
  for (uint64_t size : {7, 0, 9, 16, 17, 1}) {
    NEUMF_ASSERT_OK(Add(ItemTable::kTower, row, size));
    row += size;
  }
  NEUMF_ASSERT_OK(Add(ItemTable::kGmf, 1, 49));
  NEUMF_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Scorer> scorer, builder_->Build());
  EXPECT_EQ(Answer(*scorer), Answer(*MakeScorer(BackendCase{}, tiny_)));
}

TEST_P(ScorerBuilderTest, RefusesAGap) {
  NEUMF_ASSERT_OK(Add(ItemTable::kGmf, 0, 10));
  EXPECT_THAT(Add(ItemTable::kGmf, 11, 1),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("item.gmf: rows from 11 on")));
}

TEST_P(ScorerBuilderTest, RefusesRowsThatCameBefore) {
  NEUMF_ASSERT_OK(Add(ItemTable::kGmf, 0, 10));
  EXPECT_THAT(Add(ItemTable::kGmf, 9, 1),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_P(ScorerBuilderTest, RefusesRowsPastTheLastItem) {
  NEUMF_ASSERT_OK(Add(ItemTable::kTower, 0, 49));
  EXPECT_THAT(Add(ItemTable::kTower, 49, 2),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("the last of 50 items")));
  EXPECT_THAT(Add(ItemTable::kTower, 49, ~uint64_t{0}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_P(ScorerBuilderTest, RefusesATableThatTheShapeDoesNotHave) {
  EXPECT_THAT(
      Add(ItemTable::kBias, 0, 1),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("item.bias")));
}

TEST_P(ScorerBuilderTest, GoesOnAfterARefusal) {
  EXPECT_FALSE(Add(ItemTable::kGmf, 5, 1).ok());
  NEUMF_ASSERT_OK(Add(ItemTable::kGmf, 0, 50));
  NEUMF_ASSERT_OK(Add(ItemTable::kTower, 0, 50));
  NEUMF_EXPECT_OK(builder_->Build());
}

TEST_P(ScorerBuilderTest, NamesATableThatIsNotComplete) {
  NEUMF_ASSERT_OK(Add(ItemTable::kTower, 0, 50));
  NEUMF_ASSERT_OK(Add(ItemTable::kGmf, 0, 49));
  EXPECT_THAT(builder_->Build(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("item.gmf: only 49 of 50")));
}

TEST_P(ScorerBuilderTest, RefusesANetworkThatDoesNotFitTheShape) {
  ModelShape shape = tiny_.model.shape;
  shape.tower_widths = {5, 3};
  EXPECT_THAT(Make(shape, tiny_.model.network),
              StatusIs(absl::StatusCode::kInvalidArgument));
  shape.tower_widths = {5};
  EXPECT_THAT(Make(shape, tiny_.model.network),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_P(ScorerBuilderTest, RefusesAShapeWithoutAnyScore) {
  ModelShape shape;
  shape.num_users = 1;
  shape.num_items = 1;
  EXPECT_THAT(Make(shape, {}), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace neumf
