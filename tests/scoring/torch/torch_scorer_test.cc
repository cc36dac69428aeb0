// Both forms answer as the reference does, up to rounding.

#include "scoring/torch/torch_scorer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/status_matchers.h"
#include "tests/support/tiny_query.h"

namespace neumf {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

constexpr float kRounding = 1e-5F;

std::unique_ptr<Scorer> BuildScorer(
    absl::StatusOr<std::unique_ptr<ScorerBuilder>> builder,
    const ItemTables& items) {
  EXPECT_THAT(builder, IsOk());
  NEUMF_EXPECT_OK(StreamItemTables(
      items, [&](const ItemRows& rows) { return (*builder)->Add(rows); }));
  auto scorer = (*builder)->Build();
  EXPECT_THAT(scorer, IsOk());
  return *std::move(scorer);
}

struct Form {
  TorchForm form;
  size_t pairs_per_step;
};

class TorchScorerTest : public testing::TestWithParam<Form> {
 protected:
  void Use(const TinyModelOptions& options) {
    tiny_ = MakeTinyModel(options);
    const ServingModel& model = tiny_.model;
    TorchScorerOptions torch;
    torch.form = GetParam().form;
    torch.pairs_per_step = GetParam().pairs_per_step;
    scorer_ = BuildScorer(
        MakeTorchScorerBuilder(model.shape, model.network, torch), tiny_.items);
    reference_ = BuildScorer(MakeScorerBuilder(Backend::kReference, model.shape,
                                               model.network, ScorerOptions()),
                             tiny_.items);
  }

  RankQuery QueryOf(uint32_t user, uint32_t k) const {
    return neumf::QueryOf(tiny_, user, k);
  }

  static Ranking Rank(const Scorer& scorer, const RankQuery& query) {
    Ranking ranking;
    NEUMF_EXPECT_OK(scorer.Rank({&query, 1}, {&ranking, 1}));
    return ranking;
  }
  Ranking Rank(const RankQuery& query) const { return Rank(*scorer_, query); }

  // The reference's score of each place, and at each place an item that the
  // reference scores so.
  void ExpectAsReference(const RankQuery& query) const {
    const Ranking ranking = Rank(query);
    const Ranking expected = Rank(*reference_, query);
    EXPECT_EQ(ranking.eligible_count, expected.eligible_count);
    ASSERT_THAT(ranking.items, SizeIs(expected.items.size()));
    std::set<uint32_t> rows;
    for (size_t i = 0; i < ranking.items.size(); ++i) {
      const ScoredRow& item = ranking.items[i];
      EXPECT_NEAR(item.score, expected.items[i].score, kRounding);
      EXPECT_NEAR(item.score, ReferenceScore(query, item.row), kRounding);
      rows.insert(item.row);
    }
    EXPECT_THAT(rows, SizeIs(ranking.items.size())) << "an item came twice";
  }

  void ExpectAllUsersAsReference(uint32_t k) const {
    for (uint32_t user = 0; user < tiny_.model.shape.num_users; ++user) {
      ExpectAsReference(QueryOf(user, k));
    }
  }

  TinyModel tiny_;
  std::unique_ptr<Scorer> scorer_;

 private:
  // NaN for an item that the reference does not find eligible.
  float ReferenceScore(RankQuery query, uint32_t row) const {
    query.k = static_cast<uint32_t>(tiny_.model.shape.num_items);
    for (const ScoredRow& item : Rank(*reference_, query).items) {
      if (item.row == row) return item.score;
    }
    return std::nanf("");
  }

  std::unique_ptr<Scorer> reference_;
};

TEST_P(TorchScorerTest, AnswersAsTheReference) {
  Use(TinyModelOptions());
  ExpectAllUsersAsReference(5);
}

TEST_P(TorchScorerTest, ScoresEveryShape) {
  for (const uint32_t gmf_width : {0U, 1U, 8U}) {
    for (const auto& widths : std::vector<std::vector<uint32_t>>{
             {}, {3}, {8, 4}, {32, 16, 8}, {7, 5, 3, 1}}) {
      if (gmf_width == 0 && widths.empty()) continue;
      TinyModelOptions options;
      options.gmf_width = gmf_width;
      options.tower_widths = widths;
      options.item_bias = gmf_width == 1;
      SCOPED_TRACE(gmf_width);
      SCOPED_TRACE(testing::PrintToString(widths));
      Use(options);
      ExpectAllUsersAsReference(10);
    }
  }
}

TEST_P(TorchScorerTest, KnowsEveryActivation) {
  for (const Activation activation :
       {Activation::kTanh, Activation::kSigmoid}) {
    TinyModelOptions options;
    options.activation = activation;
    Use(options);
    ExpectAllUsersAsReference(10);
  }
}

TEST_P(TorchScorerTest, AnswersWithAllEligibleItemsWhenKIsLarger) {
  Use(TinyModelOptions());
  ExpectAllUsersAsReference(1000);
}

TEST_P(TorchScorerTest, AnswersNothingToK0) {
  Use(TinyModelOptions());
  EXPECT_THAT(Rank(QueryOf(0, 0)).items, IsEmpty());
}

TEST_P(TorchScorerTest, LeavesOutExcludedItems) {
  Use(TinyModelOptions());
  RankQuery query = QueryOf(0, 33);
  const std::vector<uint32_t> excluded = {0, 5, 32};
  query.excluded = excluded;
  ExpectAsReference(query);
}

TEST_P(TorchScorerTest, ObeysTheMask) {
  Use(TinyModelOptions());
  ItemMask mask(tiny_.model.shape.num_items);
  for (const uint32_t row : {1U, 2U, 20U, 32U}) mask.Set(row);
  RankQuery query = QueryOf(1, 3);
  query.allow_mask = &mask;
  ExpectAsReference(query);
}

TEST_P(TorchScorerTest, ObeysTheListOfAllowedRows) {
  Use(TinyModelOptions());
  const std::vector<uint32_t> rows = {3, 4, 17, 31};
  RankQuery query = QueryOf(2, 10);
  query.allow_rows = rows;
  ExpectAsReference(query);
}

TEST_P(TorchScorerTest, AnswersABatch) {
  Use(TinyModelOptions());
  const std::vector<RankQuery> queries = {QueryOf(3, 4), QueryOf(0, 2)};
  std::vector<Ranking> rankings(2);
  NEUMF_ASSERT_OK(scorer_->Rank(queries, absl::MakeSpan(rankings)));
  EXPECT_EQ(rankings[0].items, Rank(queries[0]).items);
  EXPECT_EQ(rankings[1].items, Rank(queries[1]).items);
}

TEST_P(TorchScorerTest, StopsWhenCancelled) {
  Use(TinyModelOptions());
  const std::atomic<bool> cancelled{true};
  RankQuery query = QueryOf(0, 5);
  query.cancelled = &cancelled;
  EXPECT_TRUE(Rank(query).cancelled);
}

std::string FormName(const testing::TestParamInfo<Form>& info) {
  const bool is_split = info.param.form == TorchForm::kSplit;
  return std::string(is_split ? "split" : "eager") +
         (info.param.pairs_per_step == 0 ? "_at_once" : "_in_steps");
}

INSTANTIATE_TEST_SUITE_P(Forms, TorchScorerTest,
                         testing::Values(Form{TorchForm::kSplit, 0},
                                         Form{TorchForm::kSplit, 10},
                                         Form{TorchForm::kEager, 0}),
                         FormName);

}  // namespace
}  // namespace neumf
