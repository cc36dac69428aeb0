// Passes keep to the memory that there is, whatever K.

#include "scoring/cuda/pass_size.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "scoring/cuda/kernels/views.h"

namespace neumf::cuda {
namespace {

const uint64_t kCatalogs[] = {1,      255,       256,          257,
                              4096,   4097,      5000,         16384,
                              100000, 100000000, 4'000'000'000};
const uint32_t kUsers[] = {1, 7, 8, 33, 256, 1000};

std::vector<uint32_t> KsOf(uint64_t num_items) {
  std::vector<uint32_t> ks;
  for (const uint64_t k :
       {uint64_t{1}, uint64_t{10}, uint64_t{512}, uint64_t{513}, uint64_t{1000},
        uint64_t{5000}, uint64_t{300000}, num_items}) {
    ks.push_back(static_cast<uint32_t>(std::min(k, num_items)));
  }
  return ks;
}

TEST(PassSizesTest, HaveRoomForEveryPass) {
  for (const uint64_t num_items : kCatalogs) {
    for (const uint32_t users : kUsers) {
      const PassSizes sizes(num_items, users);
      EXPECT_EQ(sizes.max_users() % kGroupUsers, 0);
      EXPECT_LE(sizes.max_users(), kMaxPassUsers);
      for (const uint32_t k : KsOf(num_items)) {
        SCOPED_TRACE(
            absl::StrCat(num_items, " items, ", users, " users, k ", k));
        const PassSize size = sizes.Of(k);
        EXPECT_GE(size.users, 1);
        EXPECT_LE(size.users, sizes.max_users());
        EXPECT_GE(size.bucket_k, k);
        // What kernels/finish.h asks for.
        EXPECT_GE(size.capacity, uint64_t{4} * k);
        // The first level fits, whatever it keeps.
        EXPECT_GE(size.capacity, uint64_t{size.first_chunks} * kChunkItems);
        EXPECT_GE(size.first_chunks, 1);
        if (size.users == 1) continue;
        EXPECT_LE(size.users * size.capacity, sizes.num_candidates());
        EXPECT_LE(uint64_t{size.users} * k, sizes.num_results());
      }
    }
  }
}

TEST(PassSizesTest, GiveUsualRequestsAllUsers) {
  const PassSizes sizes(1'000'000, 256);
  EXPECT_EQ(sizes.Of(100).users, 256);
  EXPECT_EQ(sizes.Of(100).capacity, 16384);
  EXPECT_EQ(sizes.Of(1000).users, 256);
  EXPECT_EQ(sizes.Of(2000).users, 128);
  EXPECT_EQ(sizes.Of(2000).capacity, 32768);
}

TEST(PassSizesTest, ScanSmallCatalogsInOneLevel) {
  for (const uint64_t num_items : {1, 255, 257, 4096}) {
    const PassSize size = PassSizes(num_items, 256).Of(10);
    EXPECT_EQ(size.MakeLevelsOf(num_items).count, 1) << num_items;
  }
  const Levels levels = PassSizes(1'000'000, 256).Of(10).MakeLevelsOf(1000000);
  EXPECT_GT(levels.count, 1);
  EXPECT_LE(levels.level[0].NumChunks(3907), 16);
}

class TakeTest : public testing::Test {
 protected:
  TakeTest() {
    shape_.num_users = 1;
    shape_.num_items = 1'000'000;
    shape_.gmf_width = 4;
  }
  static std::vector<RankQuery> Queries(const std::vector<uint32_t>& ks) {
    std::vector<RankQuery> queries(ks.size());
    for (size_t b = 0; b < ks.size(); ++b) queries[b].k = ks[b];
    return queries;
  }
  size_t Take(const std::vector<RankQuery>& queries) const {
    return PassSizes(shape_.num_items, 16).Take(queries, shape_);
  }

  ModelShape shape_;
};

TEST_F(TakeTest, TakesAsManyUsersAsThereMayBe) {
  EXPECT_EQ(Take(Queries({1})), 1);
  EXPECT_EQ(Take(Queries(std::vector<uint32_t>(15, 10))), 15);
  EXPECT_EQ(Take(Queries(std::vector<uint32_t>(40, 10))), 16);
}

TEST_F(TakeTest, TakesFewerWhereOneWantsMany) {
  const PassSizes sizes(shape_.num_items, 16);
  ASSERT_EQ(sizes.Of(2000).users, 8);
  std::vector<uint32_t> ks(16, 10);
  ks[3] = 2000;
  EXPECT_EQ(Take(Queries(ks)), 8);
  ks[3] = 10;
  ks[12] = 2000;
  EXPECT_EQ(Take(Queries(ks)), 12);
  EXPECT_EQ(Take(Queries({1'000'000, 1})), 1);
  EXPECT_EQ(Take(Queries({~0U, 1})), 1);
}

TEST_F(TakeTest, TakesFewerWhereRowsAreMany) {
  const std::vector<uint32_t> rows(40 << 20);
  std::vector<RankQuery> queries = Queries({1, 1, 1});
  for (RankQuery& query : queries) query.seen = rows;
  EXPECT_EQ(Take(queries), 1);
  queries[1].seen = {};
  EXPECT_EQ(Take(queries), 2);
}

}  // namespace
}  // namespace neumf::cuda
