// The coarse scans on the emulator: each score they push against its definition,
// and which they push.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "scoring/cuda/kernels/scan_tower.h"
#include "scoring/cuda/kernels/scan_wide.h"
#include "tests/scoring/cuda/coarse_catalog.h"
#include "tests/support/gpu_emulator/run_grid.h"
#include "tests/support/status_matchers.h"

namespace neumf::cuda {
namespace {

template <typename ScanType, typename ShapeType>
struct ScanCase {
  using Scan = ScanType;
  using Shape = ShapeType;
};

template <typename Case>
class CoarseScanTest : public testing::Test {
 protected:
  using Scan = typename Case::Scan;

  static CoarseCatalogOptions Sizes(uint32_t num_items, uint32_t num_users,
                                    uint32_t gmf_width) {
    CoarseCatalogOptions options;
    options.num_items = num_items;
    options.num_users = num_users;
    options.max_users = (num_users + 7) / 8 * 8;
    options.gmf_width = gmf_width;
    std::copy_n(Case::Shape::kWidths, 3, options.widths);
    return options;
  }

  // Scans the levels one after the other.
  static void Run(CoarseCatalog& catalog, const Levels& levels,
                  uint32_t num_blocks, Order order = Order::kAscending) {
    const Pass& pass = catalog.pass();
    const Grid grid{num_blocks, Scan::SharedBytes(pass.max_users,
                                                  catalog.model().gmf_steps)};
    EmulationOptions options;
    options.order = order;
    for (uint32_t l = 0; l < levels.count; ++l) {
      Scan scan;
      scan.model = catalog.model();
      scan.pass = pass;
      scan.level = levels.level[l];
      NEUMF_ASSERT_OK(RunGrid(grid, scan, options));
    }
  }

  static Levels OneLevel() { return MakeLevels(1, 1); }

  static std::set<uint32_t> RowsBelow(uint32_t end) {
    std::set<uint32_t> rows;
    for (uint32_t row = 0; row < end; ++row) rows.insert(row);
    return rows;
  }
};

using Cases = testing::Types<
    ScanCase<ScanTower<NoTower>, NoTower>, ScanCase<ScanTower<TowerA>, TowerA>,
    ScanCase<ScanTower<TowerB>, TowerB>, ScanCase<ScanTower<TowerC>, TowerC>,
    ScanCase<ScanWide<TowerC>, TowerC>>;
TYPED_TEST_SUITE(CoarseScanTest, Cases);

TYPED_TEST(CoarseScanTest, ScoresEveryPairOnce) {
  for (const uint32_t num_items : {1U, 15U, 16U, 17U, 33U, 256U, 300U}) {
    for (const uint32_t num_users : {1U, 9U}) {
      SCOPED_TRACE(testing::Message()
                   << num_items << " items, " << num_users << " users");
      CoarseCatalog catalog(this->Sizes(num_items, num_users, 8));
      this->Run(catalog, this->OneLevel(), 2);
      for (uint32_t user = 0; user < num_users; ++user) {
        EXPECT_EQ(catalog.CheckedRows(user), this->RowsBelow(num_items));
      }
    }
  }
}

TYPED_TEST(CoarseScanTest, TakesEveryGmfWidth) {
  for (const uint32_t gmf_width : {16U, 24U, 64U}) {
    CoarseCatalog catalog(this->Sizes(40, 3, gmf_width));
    this->Run(catalog, this->OneLevel(), 1);
    for (uint32_t user = 0; user < 3; ++user) {
      EXPECT_EQ(catalog.CheckedRows(user), this->RowsBelow(40));
    }
  }
}

TYPED_TEST(CoarseScanTest, LevelsTogetherScanEveryTileOnce) {
  CoarseCatalog catalog(this->Sizes(2000, 2, 8));
  const Levels levels = MakeLevels(8, 2);
  ASSERT_EQ(levels.count, 2U);
  this->Run(catalog, levels, 2, Order::kDescending);
  EXPECT_EQ(catalog.num_pushed(0), 2000U);
  EXPECT_EQ(catalog.CheckedRows(1), this->RowsBelow(2000));
}

TYPED_TEST(CoarseScanTest, ManyWarpsShareTheUsersOfFewTiles) {
  CoarseCatalog catalog(this->Sizes(20, 42, 8));
  this->Run(catalog, this->OneLevel(), 3, Order::kShuffled);
  for (uint32_t user = 0; user < 42; ++user) {
    EXPECT_EQ(catalog.CheckedRows(user), this->RowsBelow(20)) << user;
  }
}

TYPED_TEST(CoarseScanTest, PushesWhatReachesTheThresholdOfItsUser) {
  CoarseCatalog catalog(this->Sizes(500, 10, 8));
  std::vector<float> thresholds;
  for (uint32_t user = 0; user < 10; ++user) {
    thresholds.push_back(static_cast<float>(catalog.Score(user, 7 * user)));
    catalog.SetThreshold(user, thresholds.back());
  }
  catalog.SetThreshold(9, std::numeric_limits<float>::infinity());
  this->Run(catalog, this->OneLevel(), 2);
  for (uint32_t user = 0; user < 9; ++user) {
    const std::set<uint32_t> rows = catalog.CheckedRows(user);
    for (uint32_t row = 0; row < 500; ++row) {
      const double beyond = catalog.Score(user, row) - thresholds[user];
      if (std::fabs(beyond) < 0.02) continue;  // either is right
      EXPECT_EQ(rows.count(row) > 0, beyond > 0) << user << " " << row;
    }
  }
  EXPECT_EQ(catalog.num_pushed(9), 0U);
}

TYPED_TEST(CoarseScanTest, LeavesOutWhatAUserHasSeen) {
  CoarseCatalog catalog(this->Sizes(100, 9, 8));
  catalog.SetSeen(0, {0, 1, 16, 99});
  catalog.SetSeen(8, {5});
  this->Run(catalog, this->OneLevel(), 1);
  std::set<uint32_t> expected = this->RowsBelow(100);
  for (const uint32_t row : {0, 1, 16, 99}) expected.erase(row);
  EXPECT_EQ(catalog.CheckedRows(0), expected);
  EXPECT_EQ(catalog.num_pushed(8), 99U);
  EXPECT_EQ(catalog.num_pushed(3), 100U);
}

TYPED_TEST(CoarseScanTest, CountsWhatAListCannotHold) {
  CoarseCatalogOptions options = this->Sizes(100, 2, 8);
  options.capacity = 30;
  CoarseCatalog catalog(options);
  this->Run(catalog, this->OneLevel(), 2);
  EXPECT_EQ(catalog.num_pushed(0), 100U);
  EXPECT_EQ(catalog.CheckedRows(0).size(), 30U);
  EXPECT_EQ(catalog.CheckedRows(1).size(), 30U);
}

TEST(LevelsTest, TakeEveryChunkOnceInAscendingOrder) {
  for (const uint32_t num_chunks : {1U, 2U, 15U, 16U, 17U, 255U, 4097U}) {
    for (const uint32_t first : {1U, 2U, 8U, 64U}) {
      const Levels levels = MakeLevels(num_chunks, first);
      ASSERT_LE(levels.count, Levels::kMax);
      EXPECT_LE(levels.level[0].NumChunks(num_chunks), first);
      std::set<uint32_t> chunks;
      for (uint32_t l = 0; l < levels.count; ++l) {
        const Level& level = levels.level[l];
        uint32_t last = 0;
        for (uint32_t i = 0; i < level.NumChunks(num_chunks); ++i) {
          const uint32_t chunk = level.Chunk(i);
          EXPECT_TRUE(i == 0 || chunk > last);
          EXPECT_TRUE(chunks.insert(chunk).second) << chunk;
          last = chunk;
        }
      }
      EXPECT_EQ(chunks.size(), num_chunks);
      EXPECT_EQ(*chunks.rbegin(), num_chunks - 1);
    }
  }
}

}  // namespace
}  // namespace neumf::cuda
