#include "scoring/cuda/tower_fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neumf::cuda {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TunedTower Fit(std::vector<uint32_t> widths,
               Activation activation = Activation::kRelu) {
  ModelShape shape;
  shape.num_items = 1;
  shape.gmf_width = 8;
  shape.tower_widths = std::move(widths);
  ScoreNetwork network;
  network.activation = activation;
  return FitTower(shape, network);
}

TEST(TowerFitTest, TunedTowersHoldThemselves) {
  EXPECT_EQ(Fit({}), TunedTower::kDot);
  EXPECT_EQ(Fit({32, 16, 8}), TunedTower::kA);
  EXPECT_EQ(Fit({64, 32, 16}), TunedTower::kB);
  EXPECT_EQ(Fit({128, 64}), TunedTower::kC);
}

TEST(TowerFitTest, SmallerTowersRideInTheCheapestOneThatHoldsThem) {
  EXPECT_EQ(Fit({1, 1, 1}), TunedTower::kA);
  EXPECT_EQ(Fit({31, 16, 7}), TunedTower::kA);
  EXPECT_EQ(Fit({33, 16, 8}), TunedTower::kB);
  EXPECT_EQ(Fit({32, 17, 8}), TunedTower::kB);
  EXPECT_EQ(Fit({32, 16, 9}), TunedTower::kB);
  EXPECT_EQ(Fit({8, 4}), TunedTower::kC);
}

TEST(TowerFitTest, TowersTooWideOrOfOtherDepthHaveNone) {
  EXPECT_EQ(Fit({65, 32, 16}), TunedTower::kUntuned);
  EXPECT_EQ(Fit({64, 33, 16}), TunedTower::kUntuned);
  EXPECT_EQ(Fit({64, 32, 17}), TunedTower::kUntuned);
  EXPECT_EQ(Fit({129, 64}), TunedTower::kUntuned);
  EXPECT_EQ(Fit({16}), TunedTower::kUntuned);
  EXPECT_EQ(Fit({16, 8, 4, 2}), TunedTower::kUntuned);
}

TEST(TowerFitTest, OnlyReluIsTuned) {
  EXPECT_EQ(Fit({32, 16, 8}, Activation::kTanh), TunedTower::kUntuned);
  EXPECT_EQ(Fit({32, 16, 8}, Activation::kSigmoid), TunedTower::kUntuned);
  EXPECT_EQ(Fit({}, Activation::kTanh), TunedTower::kDot);
}

TEST(TowerFitTest, NamesTheWidths) {
  EXPECT_THAT(TunedWidths(TunedTower::kB), ElementsAre(64, 32, 16));
  EXPECT_THAT(TunedWidths(TunedTower::kC), ElementsAre(128, 64));
  EXPECT_THAT(TunedWidths(TunedTower::kDot), IsEmpty());
  EXPECT_THAT(TunedWidths(TunedTower::kUntuned), IsEmpty());
}

}  // namespace
}  // namespace neumf::cuda
