// The self-check passes scans that are right, and no others.

#include "scoring/cuda/self_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "scoring/cuda/coarse_tables.h"
#include "scoring/cuda/exact_tables.h"
#include "tests/scoring/scorer_models.h"
#include "tests/support/gpu_emulator/emulated_gpu.h"
#include "tests/support/status_matchers.h"

namespace neumf::cuda {
namespace {

using testing::AllOf;
using testing::Ge;
using testing::Gt;
using testing::Le;

class SelfCheckTest : public testing::Test {
 protected:
  void SetUp() override {
    NEUMF_ASSERT_OK_AND_ASSIGN(device_, Device::Open(0));
    NEUMF_ASSERT_OK_AND_ASSIGN(uploader_, Uploader::Make(*device_, 4096));
  }

  void Use(const TinyModelOptions& options) {
    const TinyModel tiny = MakeTinyModel(options);
    shape_ = tiny.model.shape;
    const ScoreNetwork& network = tiny.model.network;
    NEUMF_ASSERT_OK_AND_ASSIGN(
        exact_, ExactTables::Make(*device_, shape_, network, *uploader_));
    NEUMF_ASSERT_OK(StreamItemTables(tiny.items, [&](const ItemRows& rows) {
      return exact_->Add(rows, *uploader_);
    }));
    scanner_.tower = FitTower(shape_, network);
    NEUMF_ASSERT_OK_AND_ASSIGN(
        coarse_, CoarseTables::Make(*device_, scanner_.tower, shape_, network,
                                    exact_->model(), *uploader_));
    ASSERT_TRUE(coarse_.has_value());
    scanner_.model = coarse_->model();
  }

  PassKernels Kernels() const {
    return PassKernels(*device_, exact_->model(), scanner_);
  }

  std::unique_ptr<Workspace> MakeWorkspace(const PassKernels& kernels,
                                           const PassSizes& sizes) const {
    PassMemorySizes memory;
    memory.max_users = sizes.max_users();
    memory.num_candidates = sizes.num_candidates();
    memory.num_results = sizes.num_results();
    memory.input_bytes = sizes.InputBytes(shape_);
    memory.coarse_tower_width = scanner_.model.tower_width;
    memory.gmf_steps = scanner_.model.gmf_steps;
    auto workspace = Workspace::Make(*device_, kernels, memory, shape_);
    EXPECT_THAT(workspace, IsOk());
    return *std::move(workspace);
  }

  double Measure() const {
    const PassKernels kernels = Kernels();
    const PassSizes sizes(shape_.num_items, kGroupUsers);
    const auto workspace = MakeWorkspace(kernels, sizes);
    const auto worst =
        MeasureCoarseError(kernels, *workspace, shape_, sizes,
                           coarse_->ranges(), coarse_->model().score_scale);
    EXPECT_THAT(worst, IsOk());
    return *worst;
  }

  EmulatedGpu gpu_;
  std::unique_ptr<Device> device_;
  ModelShape shape_;
  std::optional<ExactTables> exact_;
  std::optional<CoarseTables> coarse_;
  CoarseScanner scanner_;
  std::unique_ptr<Uploader> uploader_;
};

TEST_F(SelfCheckTest, PassesScansThatAreRight) {
  for (const Widths& tower :
       {Widths{}, Widths{20, 9, 8}, Widths{64, 32, 16}, Widths{70, 64}}) {
    for (const uint64_t num_items : {1, 17, 256, 257, 600, 1500}) {
      SCOPED_TRACE(absl::StrCat(tower.size(), " layers, ", num_items));
      Use(Sized(num_items, 5, tower));
      EXPECT_THAT(Measure(), Le(1));
      if (num_items == 1) continue;
      EXPECT_GT(Measure(), 0);
    }
  }
}

TEST_F(SelfCheckTest, PassesScansByWarpgroups) {
  scanner_.is_wide = true;
  for (const Widths& tower :
       {Widths{20, 9, 8}, Widths{64, 32, 16}, Widths{70, 64}}) {
    SCOPED_TRACE(tower[0]);
    Use(Sized(600, 5, tower));
    EXPECT_THAT(Measure(), AllOf(Gt(0), Le(1)));
  }
}

TEST_F(SelfCheckTest, TimesAScanWithoutFillingLists) {
  Use(Sized(5000, 5, {20, 9, 8}));
  const PassKernels kernels = Kernels();
  const PassSizes sizes(shape_.num_items, kTimedUsers);
  const auto workspace = MakeWorkspace(kernels, sizes);
  EXPECT_THAT(MeasureScanSeconds(kernels, *workspace, shape_),
              IsOkAndHolds(Ge(0)));
  const Pass pass = workspace->memory().MakePass(kTimedUsers, 1);
  for (uint32_t user = 0; user < kTimedUsers; ++user) {
    EXPECT_EQ(pass.count[user], 0) << user;
  }
}

TEST_F(SelfCheckTest, RefusesScoresOfOtherItems) {
  Use(Sized(1500, 5, {20, 9, 8}));
  const auto right = scanner_.model;
  scanner_.model.item_tower += kLanes;  // of one step
  EXPECT_THAT(Measure(), Gt(1));
  scanner_.model = right;
  scanner_.model.item_gmf += kLanes;
  EXPECT_THAT(Measure(), Gt(1));
  scanner_.model = right;
  --scanner_.model.item_start;
  EXPECT_THAT(Measure(), Gt(1));
}

TEST_F(SelfCheckTest, RefusesScoresOfAnotherNetwork) {
  Use(Sized(1500, 0, {20, 9, 8}));
  const auto right = scanner_.model;
  scanner_.model.tower_scale *= 2;
  EXPECT_THAT(Measure(), Gt(1));
  scanner_.model = right;
  scanner_.model.layers[1].weight += 1;
  EXPECT_THAT(Measure(), Gt(1));
  scanner_.model = right;
  scanner_.model.layers[0].bias += 1;
  EXPECT_THAT(Measure(), Gt(1));
}

TEST_F(SelfCheckTest, RefusesScansThatMissItems) {
  Use(Sized(1500, 5, {20, 9, 8}));
  scanner_.model.num_items -= 1;
  EXPECT_TRUE(std::isinf(Measure()));
}

// A kernel that does nothing at all, as one that was compiled for another GPU.
TEST_F(SelfCheckTest, RefusesScansThatFindNothing) {
  Use(Sized(100, 5, {20, 9, 8}));
  scanner_.model.num_tiles = 0;
  EXPECT_TRUE(std::isinf(Measure()));
}

}  // namespace
}  // namespace neumf::cuda
