// Queries in bytes: what kernels read is what was asked.

#include "scoring/cuda/pass_input.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <vector>

namespace neumf::cuda {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;

constexpr uint32_t kCapacity = 4;

class PassInputTest : public testing::Test {
 protected:
  PassInputTest() {
    shape_.num_users = 1;
    shape_.num_items = 100;
    shape_.gmf_width = 3;
    shape_.tower_widths = {5, 2};
  }

  RankQuery Query(uint32_t k) const {
    RankQuery query;
    query.user_gmf = kGmf;
    query.user_tower = kTower;
    query.k = k;
    return query;
  }

  void Plan(const std::vector<RankQuery>& queries) {
    queries_ = queries;
    input_.Plan(queries_, shape_, kCapacity);
    bytes_.assign(input_.size_bytes() / sizeof(uint64_t), ~uint64_t{0});
    input_.WriteTo(reinterpret_cast<std::byte*>(bytes_.data()));
    pass_.input = reinterpret_cast<const std::byte*>(bytes_.data());
  }

  std::vector<uint32_t> Rows(uint32_t begin, uint32_t count) const {
    return {pass_.rows() + begin, pass_.rows() + begin + count};
  }
  // The items that a query's mask allows.
  std::vector<uint32_t> Masked(size_t user) const {
    const uint32_t begin = pass_.queries()[user].mask_begin;
    std::vector<uint32_t> rows;
    for (uint32_t row = 0; row < 128; ++row) {
      const uint32_t word = pass_.masks()[begin + row / 32];
      if ((word >> row % 32 & 1) != 0) rows.push_back(row);
    }
    return rows;
  }

  static constexpr float kGmf[] = {1, 2, 3};
  static constexpr float kTower[] = {4, 5, 6, 7, 8};
  ModelShape shape_;
  std::vector<RankQuery> queries_;
  PassInput input_;
  std::vector<uint64_t> bytes_;
  Pass pass_;
};

TEST_F(PassInputTest, HoldsVectorsAndRowsOfEachUser) {
  const float gmf[] = {-1, -2, -3};
  const float tower[] = {-4, -5, -6, -7, -8};
  const std::vector<uint32_t> seen = {3, 50, 99};
  const std::vector<uint32_t> excluded = {7};
  std::vector<RankQuery> queries = {Query(10), Query(2)};
  queries[0].excluded = excluded;
  queries[1].user_gmf = gmf;
  queries[1].user_tower = tower;
  queries[1].seen = seen;
  Plan(queries);
  EXPECT_EQ(pass_.header().num_users, 2);
  EXPECT_EQ(pass_.header().result_stride, 10);
  EXPECT_THAT(
      std::vector<float>(pass_.user_gmf_values(), pass_.user_gmf_values() + 6),
      ElementsAre(1, 2, 3, -1, -2, -3));
  EXPECT_THAT(std::vector<float>(pass_.user_tower_values(),
                                 pass_.user_tower_values() + 10),
              ElementsAre(4, 5, 6, 7, 8, -4, -5, -6, -7, -8));
  const PassQuery* const planned = pass_.queries();
  EXPECT_EQ(planned[0].kind, QueryKind::kScan);
  EXPECT_EQ(planned[0].mask_begin, kNone);
  EXPECT_EQ(planned[0].seen_count, 0);
  EXPECT_THAT(Rows(planned[0].excluded_begin, planned[0].excluded_count),
              ElementsAre(7));
  EXPECT_THAT(Rows(planned[1].seen_begin, planned[1].seen_count),
              ElementsAreArray(seen));
  EXPECT_EQ(planned[1].excluded_count, 0);
}

TEST_F(PassInputTest, AlignsEveryPart) {
  const std::vector<uint32_t> seen = {1};
  std::vector<RankQuery> queries(3, Query(1));
  queries[1].seen = seen;
  ItemMask mask(100);
  queries[2].allow_mask = &mask;
  Plan(queries);
  const PassHeader& header = pass_.header();
  for (const uint64_t place :
       {uint64_t{header.queries}, uint64_t{header.user_gmf},
        uint64_t{header.user_tower}, uint64_t{header.rows}, header.masks}) {
    EXPECT_EQ(place % kInputAlignment, 0);
  }
}

TEST_F(PassInputTest, TakesNoMoreBytesThanItSays) {
  const std::vector<uint32_t> rows = {1, 2, 3, 4, 5};
  const ItemMask mask(100);
  std::vector<RankQuery> queries(5, Query(9));
  queries[1].seen = rows;
  queries[2].allow_mask = &mask;
  queries[3].allow_rows = rows;  // a mask
  queries[4].allow_rows = absl::MakeSpan(rows).first(2);
  uint64_t most = 0;
  for (const RankQuery& query : queries) most += InputBytes(query, shape_);
  Plan(queries);
  EXPECT_LE(input_.size_bytes(), most);
}

TEST_F(PassInputTest, NeverAsksForMoreThanTheCatalog) {
  Plan({Query(101), Query(~0U)});
  EXPECT_EQ(pass_.queries()[0].k, 100);
  EXPECT_EQ(pass_.queries()[1].k, 100);
  EXPECT_EQ(input_.max_k(), 100);
}

TEST_F(PassInputTest, LeavesOutWhatNeedsNoAnswer) {
  const std::atomic<bool> cancelled{true};
  std::vector<RankQuery> queries = {Query(0), Query(7)};
  queries[1].cancelled = &cancelled;
  Plan(queries);
  EXPECT_TRUE(input_.is_idle());
  EXPECT_FALSE(input_.is_cancelled(0));
  EXPECT_TRUE(input_.is_cancelled(1));
  EXPECT_EQ(pass_.queries()[0].kind, QueryKind::kIdle);
  EXPECT_EQ(pass_.queries()[1].kind, QueryKind::kIdle);
  Plan({Query(0), Query(7)});
  EXPECT_FALSE(input_.is_idle());
  EXPECT_FALSE(input_.is_cancelled(1));
}

TEST_F(PassInputTest, KeepsShortListsAndMakesMasksOfLongOnes) {
  const std::vector<uint32_t> rows = {0, 31, 32, 63, 99};
  std::vector<RankQuery> queries(2, Query(3));
  queries[0].allow_rows = absl::MakeSpan(rows).first(kCapacity);
  queries[1].allow_rows = rows;
  Plan(queries);
  const PassQuery* const planned = pass_.queries();
  EXPECT_EQ(planned[0].kind, QueryKind::kList);
  EXPECT_EQ(planned[0].mask_begin, kNone);
  EXPECT_THAT(Rows(planned[0].list_begin, planned[0].list_count),
              ElementsAre(0, 31, 32, 63));
  EXPECT_EQ(planned[1].kind, QueryKind::kScan);
  EXPECT_THAT(Masked(1), ElementsAreArray(rows));
}

TEST_F(PassInputTest, AllowsWhatBothMaskAndListAllow) {
  const std::vector<uint32_t> rows = {1, 2, 3, 64, 99};
  ItemMask mask(100);
  for (const uint32_t row : {2, 3, 4, 99}) mask.Set(row);
  std::vector<RankQuery> queries(2, Query(3));
  for (RankQuery& query : queries) query.allow_mask = &mask;
  queries[0].allow_rows = rows;
  Plan(queries);
  EXPECT_THAT(Masked(0), ElementsAre(2, 3, 99));
  EXPECT_THAT(Masked(1), ElementsAre(2, 3, 4, 99));
}

TEST_F(PassInputTest, TakesAMaskThatQueriesShareOnce) {
  ItemMask odd(100);
  for (uint32_t row = 1; row < 100; row += 2) odd.Set(row);
  const ItemMask none(100);
  std::vector<RankQuery> queries(4, Query(3));
  for (const size_t b : {0, 2, 3}) queries[b].allow_mask = &odd;
  queries[1].allow_mask = &none;
  Plan(queries);
  EXPECT_EQ(pass_.queries()[0].mask_begin, pass_.queries()[3].mask_begin);
  EXPECT_EQ(Masked(0).size(), 50);
  EXPECT_THAT(Masked(1), IsEmpty());
  const size_t with_two = input_.size_bytes();
  queries[1].allow_mask = &odd;
  Plan(queries);
  EXPECT_EQ(input_.size_bytes(), with_two - 16);
}

TEST_F(PassInputTest, TakesModelsOfOnePart) {
  shape_.tower_widths.clear();
  RankQuery query = Query(3);
  query.user_tower = nullptr;
  Plan({query});
  EXPECT_EQ(pass_.user_gmf_values()[2], 3);
  shape_.gmf_width = 0;
  shape_.tower_widths = {5};
  query = Query(3);
  query.user_gmf = nullptr;
  Plan({query});
  EXPECT_EQ(pass_.user_tower_values()[4], 8);
}

}  // namespace
}  // namespace neumf::cuda
