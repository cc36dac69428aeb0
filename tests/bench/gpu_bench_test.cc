// What the measurements on a GPU are made of, without one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <set>
#include <utility>
#include <vector>

#include "bench/bench_model.h"
#include "bench/gpu/large_catalog.h"
#include "bench/gpu/mixed_queries.h"
#include "bench/gpu/probe_kernels.h"
#include "bench/gpu/rounding_trials.h"
#include "scoring/eligibility.h"
#include "tests/support/gpu_emulator/run_grid.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using cuda::AllowedRounding;
using cuda::EmulationOptions;
using cuda::kMma16Form;
using cuda::kMma8Form;
using cuda::kWideForm;
using cuda::MakeRoundingTrials;
using cuda::MmaSums;
using cuda::MultiplyOnce;
using cuda::MultiplyOnceWide;
using cuda::ProductForm;
using cuda::RoundingTrials;
using cuda::WorstRounding;

// A float32 that is rounded once is off by half of 2^-23.
constexpr double kRoundedOnce = 0.25;

template <typename Kernel>
RoundingTrials RunTrials(const ProductForm& form, uint32_t count,
                         uint32_t shared_bytes, MmaSums sums) {
  RoundingTrials trials = MakeRoundingTrials(form, count, 1);
  Kernel kernel;
  kernel.count = trials.count;
  kernel.a = trials.a.data();
  kernel.b = trials.b.data();
  kernel.acc = trials.acc.data();
  EmulationOptions options;
  options.sums = sums;
  NEUMF_EXPECT_OK(cuda::RunGrid({2, shared_bytes}, kernel, options));
  return trials;
}

// So fragments and matrices hold what the exact sums are made of.
TEST(RoundingTrialsTest, KnowWhatTheProductsComeTo) {
  const auto once = MmaSums::kRoundedOnce;
  EXPECT_LE(WorstRounding(RunTrials<MultiplyOnce<4>>(kMma16Form, 200, 0, once)),
            kRoundedOnce);
  EXPECT_LE(WorstRounding(RunTrials<MultiplyOnce<2>>(kMma8Form, 200, 0, once)),
            kRoundedOnce);
  EXPECT_LE(WorstRounding(RunTrials<MultiplyOnceWide>(
                kWideForm, 20, MultiplyOnceWide::kSharedBytes, once)),
            kRoundedOnce);
}

TEST(RoundingTrialsTest, ShowHowTensorCoresRoundAndThatTheBoundHasRoomForIt) {
  for (const MmaSums sums : {MmaSums::kCut, MmaSums::kAligned}) {
    const double worst =
        WorstRounding(RunTrials<MultiplyOnce<4>>(kMma16Form, 500, 0, sums));
    EXPECT_GT(worst, 8 * kRoundedOnce);
    EXPECT_LE(worst, AllowedRounding(kMma16Form));
  }
}

TEST(RoundingTrialsTest, FindsASumThatIsTooFarOff) {
  RoundingTrials trials =
      RunTrials<MultiplyOnce<2>>(kMma8Form, 100, 0, MmaSums::kRoundedOnce);
  trials.acc[77] += static_cast<float>(trials.magnitude[77] * 0x1p-18);
  EXPECT_GT(WorstRounding(trials), AllowedRounding(kMma8Form));
}

TEST(RoundingTrialsTest, FindsASumThatChangedThoughNothingWasAdded) {
  RoundingTrials trials =
      RunTrials<MultiplyOnce<2>>(kMma8Form, 100, 0, MmaSums::kRoundedOnce);
  size_t i = 0;
  while (!trials.stays[i]) ++i;
  trials.acc[i] *= 1 + 0x1p-23F;
  EXPECT_GT(WorstRounding(trials), AllowedRounding(kMma8Form));
}

TEST(ProbeKernelsTest, CopyEveryWord) {
  for (const size_t count : {1, 511, 3000, 8192}) {
    std::vector<cuda::Words4> from(count);
    std::vector<cuda::Words4> to(count);
    for (uint32_t i = 0; i < count; ++i) from[i] = {{i, i + 1, i + 2, i + 3}};
    NEUMF_EXPECT_OK(
        cuda::RunGrid({2, 0}, cuda::CopyWords{from.data(), to.data(), count}));
    for (uint32_t i = 0; i < count; ++i) EXPECT_EQ(to[i].w[3], i + 3);
  }
}

// All rows of one table of `catalog`, in their order.
std::vector<float> RowsOf(const LargeCatalog& catalog, ItemTable table) {
  ThreadPool threads(2, "test");
  std::vector<float> all;
  const size_t width = table == ItemTable::kGmf ? catalog.shape().gmf_width
                                                : catalog.shape().tower_width();
  NEUMF_EXPECT_OK(catalog.Stream(threads, [&](const ItemRows& rows) {
    if (rows.table == table) {
      EXPECT_EQ(rows.first_row * width, all.size());
      all.insert(all.end(), rows.values, rows.values + rows.num_rows * width);
    }
    return absl::OkStatus();
  }));
  return all;
}

TEST(LargeCatalogTest, BeginsWithTheRowsOfItsModel) {
  const BenchModel model = MakeRandomTower("A", 100);
  const LargeCatalog catalog(model, 100);
  const std::vector<float> gmf = RowsOf(catalog, ItemTable::kGmf);
  EXPECT_EQ(gmf, std::vector<float>(model.items.gmf.data(),
                                    model.items.gmf.data() + gmf.size()));
}

TEST(LargeCatalogTest, HasCopiesThatAreAlikeButNeverTie) {
  const BenchModel model = MakeRandomTower("A", 100);
  const LargeCatalog catalog(model, 300'001);  // more than it makes at a time
  const std::vector<float> tower = RowsOf(catalog, ItemTable::kTower);
  ASSERT_EQ(tower.size(), 300'001 * 32);
  const std::set<float> first_column = [&] {
    std::set<float> values;
    for (size_t row = 0; row < 30'000; ++row) values.insert(tower[row * 32]);
    return values;
  }();
  EXPECT_GT(first_column.size(), 29'000);
  double distance = 0;
  for (size_t row = 100; row < 300'001; ++row) {
    const double noise =
        tower[row * 32] - model.items.tower.data()[row % 100 * 32];
    distance += noise * noise / 300'001;
  }
  // 0.3 of the standard deviation, which is 0.5.
  EXPECT_NEAR(distance, 0.15 * 0.15, 0.01);
}

TEST(MixedQueriesTest, AskForEachNumberWithEachFilter) {
  const BenchModel model = MakeRandomTower("A", 5000);
  const MixedQueries mixed(model, 5000, 120, 1);
  std::set<std::pair<uint32_t, int>> kinds;
  for (const RankQuery& query : mixed.queries()) {
    const int filter = (query.seen.empty() ? 0 : 1) +
                       (query.excluded.empty() ? 0 : 2) +
                       (query.allow_mask == nullptr ? 0 : 4) +
                       (query.allow_rows.has_value() ? 8 : 0);
    kinds.emplace(query.k, filter);
    CheckQuery(query, model.shape);
  }
  EXPECT_EQ(kinds.size(), 4 * 6);
}

}  // namespace
}  // namespace neumf
