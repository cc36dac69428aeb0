#include "trainer/model/parameters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "tests/trainer/model/model_zoo.h"

namespace neumf {
namespace {

using testing::Each;

ModelSpec NeuMfSpec(uint64_t num_users, uint64_t num_items, uint32_t factors,
                    uint32_t tower_factors, std::vector<uint32_t> hidden) {
  ModelSpec spec;
  spec.num_users = num_users;
  spec.num_items = num_items;
  spec.factors = factors;
  spec.learned_head = factors > 0;
  spec.user_tower_factors = tower_factors;
  spec.item_tower_factors = tower_factors;
  spec.hidden = std::move(hidden);
  return spec;
}

// Counts of published models, which their code prints.
TEST(ParameterLayoutTest, CountsAreThoseOfThePublishedModels) {
  const ModelSpec d2l = NeuMfSpec(943, 1682, 10, 10, {10, 10, 10});
  EXPECT_EQ(ParameterLayout(d2l).size, 52'950U);

  ModelSpec ncf = NeuMfSpec(6040, 3706, 8, 32, {32, 16, 8});
  ncf.global_bias = true;
  EXPECT_EQ(ParameterLayout(ncf).size, 392'601U);

  ModelSpec blog = NeuMfSpec(6040, 3706, 8, 8, {64, 32, 16, 8});
  blog.linear_width = 8;
  blog.global_bias = true;
  EXPECT_EQ(ParameterLayout(blog).size, 159'857U);

  ModelSpec bilinear;
  bilinear.num_users = 944;
  bilinear.num_items = 1683;
  bilinear.factors = 64;
  bilinear.cosine = true;
  EXPECT_EQ(ParameterLayout(bilinear).size, 168'128U);

  ModelSpec deep = NeuMfSpec(944, 1683, 0, 32, {128});
  deep.item_tower_factors = 64;
  deep.global_bias = true;
  EXPECT_EQ(ParameterLayout(deep).size, 150'465U);
}

TEST(ParameterLayoutTest, FeaturesAndHistoryHaveRowsOfTheirOwn) {
  ModelSpec spec = NeuMfSpec(5, 7, 3, 4, {6});
  spec.user_bias = spec.item_bias = true;
  spec.num_user_features = 2;
  spec.num_item_features = 11;
  spec.history_length = 1;
  const ParameterLayout layout(spec);
  EXPECT_EQ(layout.user_gmf.rows, 5U + 2 + 7);
  EXPECT_EQ(layout.user_tower.rows, 5U + 2 + 7);
  EXPECT_EQ(layout.user_bias.rows, 5U + 2);
  EXPECT_EQ(layout.item_gmf.rows, 7U + 11);
  EXPECT_EQ(layout.item_tower.rows, 7U + 11);
  EXPECT_EQ(layout.item_bias.rows, 7U + 11);
}

TEST(ParameterLayoutTest, BlocksLieSideBySideTablesFirst) {
  for (const ModelCase& model_case : ModelZoo()) {
    SCOPED_TRACE(model_case.name);
    const ParameterLayout layout(model_case.spec);
    size_t end = 0;
    bool in_tables = true;
    std::set<std::string> names;
    for (const ParameterBlock* block : layout.Blocks()) {
      EXPECT_EQ(block->offset, end) << block->name;
      EXPECT_GT(block->size(), 0U) << block->name;
      EXPECT_TRUE(in_tables || !block->is_table) << block->name;
      in_tables = block->is_table;
      names.insert(block->name);
      end += block->size();
    }
    EXPECT_EQ(end, layout.size);
    EXPECT_EQ(names.size(), layout.Blocks().size());
  }
}

// Statistics of a large model's blocks.
class InitializeTest : public testing::Test {
 protected:
  static constexpr double kFirstIn = 24;  // 8 + 16

  static ModelSpec Spec() {
    ModelSpec spec = NeuMfSpec(700, 900, 16, 8, {64, 40});
    spec.item_tower_factors = 16;
    spec.linear_width = 32;
    spec.user_bias = spec.item_bias = spec.global_bias = true;
    spec.num_user_features = 3;
    spec.history_length = 4;
    return spec;
  }

  void Initialize(Initialization how, double embedding_scale = 0) {
    Random random(5);
    parameters_.Initialize(how, embedding_scale, random);
  }

  const ParameterLayout& layout() const { return parameters_.layout(); }
  absl::Span<const float> Values(const ParameterBlock& block) const {
    const Parameters& parameters = parameters_;
    return parameters.block(block);
  }
  // Users and features, without history.
  absl::Span<const float> UserRows(const ParameterBlock& block) const {
    return Values(block).first(703 * block.cols);
  }

  static void ExpectNormal(absl::Span<const float> values, double deviation) {
    double sum = 0, squares = 0, outside = 0;
    for (const float value : values) {
      sum += double{value};
      squares += double{value} * double{value};
      outside += std::abs(double{value}) > 2 * deviation ? 1 : 0;
    }
    const auto count = static_cast<double>(values.size());
    const double error = deviation / std::sqrt(count);
    EXPECT_NEAR(sum / count, 0, 5 * error);
    EXPECT_NEAR(std::sqrt(squares / count), deviation, 5 * error);
    EXPECT_NEAR(outside / count, 0.0455, 5 * std::sqrt(0.0455 / count));
  }

  static void ExpectUniform(absl::Span<const float> values, double limit) {
    double squares = 0, largest = 0;
    for (const float value : values) {
      squares += double{value} * double{value};
      largest = std::max(largest, std::abs(double{value}));
    }
    const auto count = static_cast<double>(values.size());
    EXPECT_LE(largest, limit * (1 + 1e-6));
    EXPECT_GT(largest, limit * (1 - 10 / count));
    EXPECT_NEAR(squares / count, limit * limit / 3,
                5 * 0.3 * limit * limit / std::sqrt(count));
  }

  void ExpectEmbeddingsNormal(double gmf, double user_tower,
                              double item_tower) {
    ExpectNormal(UserRows(layout().user_gmf), gmf);
    ExpectNormal(Values(layout().item_gmf), gmf);
    ExpectNormal(UserRows(layout().user_tower), user_tower);
    ExpectNormal(Values(layout().item_tower), item_tower);
  }

  void ExpectGlorotHiddenLayers() {
    const double first = std::sqrt(6 / (kFirstIn + 64));
    ExpectUniform(Values(layout().first_user_weight), first);
    ExpectUniform(Values(layout().first_item_weight), first);
    ExpectUniform(Values(layout().layers[0].weight),
                  std::sqrt(6 / (64.0 + 40)));
    ExpectUniform(Values(layout().linear.weight), std::sqrt(6 / (40.0 + 32)));
    EXPECT_THAT(Values(layout().first_bias), Each(0));
    EXPECT_THAT(Values(layout().layers[0].bias), Each(0));
    EXPECT_THAT(Values(layout().linear.bias), Each(0));
  }

  void ExpectUniformHiddenBiases() {
    ExpectUniform(Values(layout().first_bias), 1 / std::sqrt(kFirstIn));
    ExpectUniform(Values(layout().layers[0].bias), 1 / std::sqrt(64.0));
    ExpectUniform(Values(layout().linear.bias), 1 / std::sqrt(40.0));
  }

  void TearDown() override {
    for (const ParameterBlock* block :
         {&layout().user_bias, &layout().item_bias, &layout().global_bias}) {
      EXPECT_THAT(Values(*block), Each(0)) << block->name;
    }
    for (const ParameterBlock* block :
         {&layout().user_gmf, &layout().user_tower}) {
      EXPECT_THAT(Values(*block).subspan(703 * block->cols), Each(0));
    }
  }

  Parameters parameters_ = Parameters(Spec());
};

TEST_F(InitializeTest, D2l) {
  Initialize(Initialization::kD2l);
  ExpectEmbeddingsNormal(.01, .01, .01);
  ExpectNormal(Values(layout().first_user_weight), .01);
  ExpectNormal(Values(layout().layers[0].weight), .01);
  ExpectNormal(Values(layout().linear.weight), .01);
  EXPECT_NE(Values(layout().gmf_head)[0], 0);
  EXPECT_LT(std::abs(Values(layout().gmf_head)[0]), .05);
  ExpectUniformHiddenBiases();
}

TEST_F(InitializeTest, Ncf) {
  Initialize(Initialization::kNcf);
  ExpectEmbeddingsNormal(.01, .01, .01);
  ExpectGlorotHiddenLayers();
  // 16 of the product and 32 of the tower.
  ExpectUniform(Values(layout().gmf_head), std::sqrt(3 / 48.0));
  ExpectUniform(Values(layout().tower_head), std::sqrt(3 / 48.0));
}

TEST_F(InitializeTest, Torch) {
  Initialize(Initialization::kTorch);
  ExpectEmbeddingsNormal(1, 1, 1);
  ExpectUniform(Values(layout().first_item_weight), 1 / std::sqrt(kFirstIn));
  ExpectUniform(Values(layout().layers[0].weight), 1 / std::sqrt(64.0));
  ExpectUniform(Values(layout().tower_head), 1 / std::sqrt(48.0));
  ExpectUniformHiddenBiases();
}

TEST_F(InitializeTest, Keras) {
  Initialize(Initialization::kKeras);
  ExpectUniform(UserRows(layout().user_gmf), .05);
  ExpectUniform(Values(layout().item_tower), .05);
  ExpectGlorotHiddenLayers();
  ExpectUniform(Values(layout().tower_head), std::sqrt(6 / 49.0));
}

TEST_F(InitializeTest, Normal) {
  Initialize(Initialization::kNormal);
  ExpectEmbeddingsNormal(.1 / 4, .1 / std::sqrt(8.0), .1 / 4);
  ExpectGlorotHiddenLayers();
  EXPECT_THAT(Values(layout().gmf_head), Each(1));
  ExpectUniform(Values(layout().tower_head), std::sqrt(3 / 48.0));
}

TEST_F(InitializeTest, TheSpreadOfEmbeddingsCanBeGiven) {
  Initialize(Initialization::kNcf, .3);
  ExpectEmbeddingsNormal(.3, .3, .3);
  ExpectGlorotHiddenLayers();
}

TEST_F(InitializeTest, TheSpreadOfUniformEmbeddingsIsTheirLimit) {
  Initialize(Initialization::kKeras, .3);
  ExpectUniform(Values(layout().item_gmf), .3);
}

TEST_F(InitializeTest, ASeedGivesTheSameValuesWhateverWasThere) {
  Initialize(Initialization::kTorch);
  const std::vector<float> first(parameters_.values().begin(),
                                 parameters_.values().end());
  parameters_.values()[3] = 9;
  parameters_.values()[parameters_.values().size() - 1] = 9;
  Initialize(Initialization::kTorch);
  EXPECT_TRUE(
      std::equal(first.begin(), first.end(), parameters_.values().begin()));
}

}  // namespace
}  // namespace neumf
