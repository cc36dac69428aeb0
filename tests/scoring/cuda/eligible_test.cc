#include "scoring/cuda/kernels/eligible.h"

#include <algorithm>
#include <vector>

#include "gtest/gtest.h"
#include "tests/scoring/cuda/emulated_pass.h"
#include "tests/scoring/random_queries.h"
#include "tests/scoring/scorer_models.h"
#include "tests/support/tiny_query.h"

namespace neumf::cuda {
namespace {

bool Has(absl::Span<const uint32_t> rows, uint32_t row) {
  return std::find(rows.begin(), rows.end(), row) != rows.end();
}

TEST(EligibleTest, FindsEachRowOfAListAndNoOther) {
  const std::vector<uint32_t> all = {0, 3, 4, 9, 10, 11, 4'000'000'000};
  for (uint32_t count = 0; count <= all.size(); ++count) {
    const auto listed = absl::MakeConstSpan(all).subspan(0, count);
    for (uint32_t row : {0U, 1U, 3U, 4U, 5U, 9U, 10U, 11U, 12U, 4'000'000'000U,
                         4'000'000'001U}) {
      EXPECT_EQ(IsAmong(all.data(), count, row), Has(listed, row));
    }
  }
}

TEST(EligibleTest, AgreesWithTheRuleOfQueriesOfEveryKind) {
  const TinyModel tiny = MakeTinyModel(Sized(97, 3, {}));
  RandomQueries random(tiny, 200, 5);
  std::vector<RankQuery> queries = random.queries();
  for (RankQuery& query : queries) query.allow_rows.reset();
  const EmulatedPass pass(queries, tiny.model.shape, 128);
  for (uint32_t user = 0; user < queries.size(); ++user) {
    const RankQuery& query = queries[user];
    if (query.k == 0) continue;
    for (uint32_t row = 0; row < 97; ++row) {
      const bool is_eligible =
          !Has(query.seen, row) && !Has(query.excluded, row) &&
          (query.allow_mask == nullptr || query.allow_mask->allows(row));
      ASSERT_EQ(IsEligible(pass.pass(), pass.pass().queries()[user], row),
                is_eligible)
          << "user " << user << ", row " << row;
    }
  }
}

TEST(EligibleTest, ReadsTheLastBitOfTheLastWord) {
  for (uint32_t num_items : {1U, 31U, 32U, 33U, 64U, 65U}) {
    const TinyModel tiny = MakeTinyModel(Sized(num_items, 1, {}));
    ItemMask mask(num_items);
    mask.Set(num_items - 1);
    RankQuery query = QueryOf(tiny, 0, 1);
    query.seen = {};
    query.allow_mask = &mask;
    const EmulatedPass pass({query}, tiny.model.shape, 4);
    for (uint32_t row = 0; row < num_items; ++row) {
      EXPECT_EQ(IsEligible(pass.pass(), pass.pass().queries()[0], row),
                row == num_items - 1);
    }
  }
}

}  // namespace
}  // namespace neumf::cuda
