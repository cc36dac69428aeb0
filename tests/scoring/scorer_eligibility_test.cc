// Which items may be in an answer: seen, excluded, masked, listed.

#include "absl/strings/str_cat.h"
#include "tests/scoring/scorer_fixture.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// The last block holds 11 items.
constexpr uint32_t kNumItems = 2011;

class ScorerEligibilityTest : public ScorerTest {
 protected:
  ItemMask MaskOf(const std::vector<uint32_t>& rows) const {
    ItemMask mask(tiny_.model.shape.num_items);
    for (uint32_t row : rows) mask.Set(row);
    return mask;
  }

  void ExpectReferenceBitsWith(const ItemMask& mask) const {
    for (uint32_t k : {0U, 1U, 30U, kNumItems, kNumItems + 1}) {
      std::vector<RankQuery> queries = QueriesOfAll(k);
      for (RankQuery& query : queries) query.allow_mask = &mask;
      ExpectSameAsReference(queries);
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Backends, ScorerEligibilityTest,
                         testing::ValuesIn(AllBackends()), BackendCaseName);

TEST_P(ScorerEligibilityTest, AnswersNothingWhenEverythingIsSeen) {
  Use(Sized(kNumItems, 4, {8}));
  const std::vector<uint32_t> all = RowsBelow(kNumItems);
  RankQuery query = QueryOf(0, 10);
  query.seen = all;
  const Ranking ranking = Rank(query);
  EXPECT_THAT(ranking.items, IsEmpty());
  EXPECT_EQ(ranking.eligible_count, 0);
  query.seen = {};
  query.excluded = all;
  EXPECT_THAT(Rank(query).items, IsEmpty());
}

TEST_P(ScorerEligibilityTest, AnswersTheOneItemThatIsNotSeen) {
  Use(Sized(kNumItems, 4, {8}));
  for (uint32_t unseen : {0U, 15U, 16U, 1000U, kNumItems - 1}) {
    std::vector<uint32_t> seen = RowsBelow(kNumItems);
    seen.erase(seen.begin() + unseen);
    RankQuery query = QueryOf(0, 10);
    query.seen = seen;
    EXPECT_THAT(RowsOf(Rank(query)), ElementsAre(unseen));
    EXPECT_EQ(Rank(query).eligible_count, 1);
  }
}

TEST_P(ScorerEligibilityTest, CountsItemsThatAreSeenAndExcludedOnce) {
  Use(ConstantModel(10));
  const std::vector<uint32_t> seen = {0, 2, 4, 9};
  const std::vector<uint32_t> excluded = {2, 3, 9};
  RankQuery query = QueryOf(0, 3);
  query.seen = seen;
  query.excluded = excluded;
  const Ranking ranking = Rank(query);
  EXPECT_THAT(RowsOf(ranking), ElementsAre(1, 5, 6));
  EXPECT_EQ(ranking.eligible_count, 5);
}

TEST_P(ScorerEligibilityTest, AnswersOnlyItemsOfTheMask) {
  Use(Sized(kNumItems, 4, {8, 4}));
  // All items, every second one, and down to one of a thousand.
  for (uint32_t stride : {1, 2, 3, 17, 100, 1000}) {
    SCOPED_TRACE(absl::StrCat("one item of ", stride));
    ItemMask mask(kNumItems);
    for (uint32_t row = stride - 1; row < kNumItems; row += stride) {
      mask.Set(row);
    }
    ExpectReferenceBitsWith(mask);
  }
}

TEST_P(ScorerEligibilityTest, AnswersOnlyBlocksOfTheMask) {
  Use(Sized(kNumItems, 4, {8, 4}));
  ItemMask mask(kNumItems);
  for (uint32_t row = 0; row < kNumItems; ++row) {
    if (row / 48 % 2 == 1) mask.Set(row);
  }
  ExpectReferenceBitsWith(mask);
}

// Users of such models scan together.
TEST_P(ScorerEligibilityTest, AnswersEachUserUnderItsMaskWithoutATower) {
  Use(Sized(kNumItems, 4, {}));
  ItemMask most = ItemMask::All(kNumItems);
  for (uint32_t row = 5; row < kNumItems; row += 100) most.Clear(row);
  const ItemMask one = MaskOf({kNumItems - 1});
  for (uint32_t k : {1U, 30U, kNumItems}) {
    std::vector<RankQuery> queries = QueriesOfAll(k);
    for (size_t b = 0; b < queries.size(); ++b) {
      if (b % 3 == 1) queries[b].allow_mask = &most;
      if (b % 3 == 2) queries[b].allow_mask = &one;
    }
    ExpectSameAsReference(queries);
  }
  ExpectReferenceBitsWith(most);
  EXPECT_EQ(ItemMask::All(64).words()[0], ~uint64_t{0});
  EXPECT_EQ(most.words().back() >> (kNumItems % 64), 0U);
}

TEST_P(ScorerEligibilityTest, AnswersNothingUnderAnEmptyMask) {
  Use(Sized(kNumItems, 4, {8, 4}));
  ExpectReferenceBitsWith(MaskOf({}));
}

TEST_P(ScorerEligibilityTest, AnswersTheOneItemOfAMask) {
  Use(Sized(kNumItems, 4, {8, 4}));
  for (uint32_t row : {0U, 7U, 8U, 15U, 16U, 31U, 63U, 64U, kNumItems - 1}) {
    const ItemMask mask = MaskOf({row});
    RankQuery query = QueryOf(0, 10);
    query.seen = {};
    query.allow_mask = &mask;
    EXPECT_THAT(RowsOf(Rank(query)), ElementsAre(row));
    EXPECT_EQ(Rank(query).eligible_count, 1);
  }
}

TEST_P(ScorerEligibilityTest, AnswersOnlyTheAllowedRows) {
  Use(Sized(kNumItems, 4, {8, 4}));
  for (uint32_t count : {0U, 1U, 7U, 8U, 15U, 16U, 17U, 31U, 32U, 33U, 80U}) {
    SCOPED_TRACE(absl::StrCat(count, " rows"));
    std::vector<uint32_t> rows;
    for (uint32_t i = 0; i < count; ++i) {
      rows.push_back(kNumItems - 1 - 25 * (count - 1 - i));
    }
    for (uint32_t k : {0U, 1U, 10U, count, count + 1}) {
      std::vector<RankQuery> queries = QueriesOfAll(k);
      for (RankQuery& query : queries) query.allow_rows = rows;
      ExpectSameAsReference(queries);
    }
  }
}

TEST_P(ScorerEligibilityTest, AnswersAllItemsWhenAllRowsAreAllowed) {
  Use(Sized(kNumItems, 4, {8, 4}));
  const std::vector<uint32_t> all = RowsBelow(kNumItems);
  RankQuery query = QueryOf(0, 100);
  const Ranking expected = Rank(query);
  query.allow_rows = all;
  EXPECT_EQ(RowsAndScoreBits(Rank(query)), RowsAndScoreBits(expected));
}

}  // namespace
}  // namespace neumf
