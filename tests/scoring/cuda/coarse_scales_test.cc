#include "scoring/cuda/coarse_scales.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <random>

#include "absl/strings/str_cat.h"

namespace neumf::cuda {
namespace {

void ExpectPowerOf2(float scale, int least, int most) {
  int exponent;
  EXPECT_EQ(std::frexp(scale, &exponent), 0.5F) << scale;
  EXPECT_GE(exponent - 1, least);
  EXPECT_LE(exponent - 1, most);
}

// What the header says of any scales.
void ExpectSound(const CoarseScales& scales, size_t num_layers) {
  float tower = scales.tower;
  ExpectPowerOf2(tower, -80, 60);
  ASSERT_EQ(scales.weights.size(), num_layers);
  for (const float weights : scales.weights) {
    ExpectPowerOf2(weights, -100, 100);
    tower *= weights;
    ExpectPowerOf2(tower, -80, 60);
  }
  ExpectPowerOf2(scales.head, -100, 100);
  ExpectPowerOf2(scales.item_gmf, -100, 100);
  ExpectPowerOf2(scales.user_gmf, -100, 100);
  ExpectPowerOf2(scales.score, -80, 60);
  EXPECT_EQ(scales.item_gmf * scales.user_gmf, scales.score);
  if (num_layers == 0) return;
  EXPECT_EQ(tower * scales.head, scales.score);
}

// Every number of a kind is the same.
struct Model {
  std::vector<uint32_t> widths;
  float item = 0, weight = 0, bias = 0, head = 0, gmf = 0, head_bias = 0;

  CoarseScales Scales() const {
    ModelShape shape;
    shape.num_items = 9;
    shape.gmf_width = 3;
    shape.tower_widths = widths;
    ScoreNetwork network;
    for (size_t l = 1; l < widths.size(); ++l) {
      DenseLayer layer;
      layer.in = widths[l - 1];
      layer.out = widths[l];
      layer.weight.assign(size_t{layer.in} * layer.out, weight);
      layer.bias.assign(layer.out, bias);
      network.layers.push_back(layer);
    }
    if (!widths.empty()) network.head_weight.assign(widths.back(), head);
    network.head_bias = head_bias;
    ItemRanges ranges;
    ranges.tower.assign(shape.tower_width(), {-item, item, 0});
    ranges.gmf.assign(3, {-gmf, gmf / 2, 0});
    return ChooseCoarseScales(shape, network, ranges);
  }
};

TEST(CoarseScalesTest, AreSoundForNumbersOfAnySize) {
  std::mt19937 random(5);
  const float sizes[] = {0, FLT_TRUE_MIN, FLT_MIN, 1e-20F, 1e-3F,
                         1, 1e4F,         1e20F,   FLT_MAX};
  const auto draw = [&] { return sizes[random() % std::size(sizes)]; };
  const std::vector<uint32_t> towers[] = {{}, {1, 1}, {32, 16, 8}, {128, 64}};
  for (int i = 0; i < 20000; ++i) {
    Model model{towers[random() % std::size(towers)]};
    for (float* const number : {&model.item, &model.weight, &model.bias,
                                &model.head, &model.gmf, &model.head_bias}) {
      *number = draw();
    }
    SCOPED_TRACE(absl::StrCat("items ", model.item, " weights ", model.weight,
                              " biases ", model.bias, " head ", model.head,
                              " gmf ", model.gmf, " start ", model.head_bias));
    ExpectSound(model.Scales(),
                model.widths.empty() ? 0 : model.widths.size() - 1);
    if (HasFailure()) return;
  }
}

TEST(CoarseScalesTest, BringWhatIsKnownIntoTheMiddleOfHalves) {
  Model model{{32, 16, 8}};
  model.item = 0.3F;
  model.weight = 0.2F;
  model.bias = -0.1F;
  model.head = 0.5F;
  model.gmf = 0.4F;
  for (const float factor : {1e-6F, 1.0F, 1e6F}) {
    SCOPED_TRACE(factor);
    Model sized = model;
    sized.item *= factor;
    sized.bias *= factor;
    const CoarseScales scales = sized.Scales();
    EXPECT_GE(scales.tower * sized.item, 0x1p9);
    EXPECT_LT(scales.tower * sized.item, 0x1p10);
    EXPECT_GE(scales.weights[0] * sized.weight, 0x1p-8);
    EXPECT_LT(scales.weights[0] * sized.weight, 0x1p4);
    EXPECT_GE(scales.head * sized.head, 0x1p-1);
    EXPECT_LE(scales.head * sized.head, 0x1p14);
    EXPECT_GE(scales.item_gmf * sized.gmf, 0x1p-1);
    EXPECT_LT(scales.item_gmf * sized.gmf, 0x1p12);
  }
}

TEST(CoarseScalesTest, SumsOfItemsLeaveRoomForUsers) {
  Model model{{32, 16, 8}};
  model.item = 5;
  model.weight = 3;
  model.head = 1;
  const CoarseScales scales = model.Scales();
  // With users as large as items.
  const double sums2 = 32 * 3 * 10.0;
  const double sums3 = 16 * 3 * sums2;
  const double scale2 = double{scales.tower} * scales.weights[0];
  EXPECT_LT(sums2 * scale2, 0x1p11);
  EXPECT_GE(sums2 * scale2, 0x1p10);
  EXPECT_LT(sums3 * scale2 * scales.weights[1], 0x1p11);
  EXPECT_GE(sums3 * scale2 * scales.weights[1], 0x1p10);
}

TEST(CoarseScalesTest, WithoutATowerItemsAndUsersHaveTheSameScale) {
  Model model;
  model.gmf = 0.7F;
  const CoarseScales scales = model.Scales();
  EXPECT_EQ(scales.item_gmf, scales.user_gmf);
  EXPECT_GE(scales.item_gmf * model.gmf, 0x1p7);
  EXPECT_LT(scales.item_gmf * model.gmf, 0x1p8);
}

}  // namespace
}  // namespace neumf::cuda
