// The coarse form of items and network: what the kernels and the host write,
// read back fragment by fragment.

#include "scoring/cuda/coarse_network.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "scoring/cuda/device/half.h"
#include "scoring/cuda/kernels/measure_columns.h"
#include "tests/scoring/cuda/coarse_form.h"
#include "tests/scoring/cuda/kernel_test.h"
#include "tests/scoring/scorer_models.h"

namespace neumf::cuda {
namespace {

class CoarseNetworkTest : public KernelTest {
 protected:
  void Use(const TinyModelOptions& options) { Use(MakeTinyModel(options)); }
  void Use(TinyModel tiny) {
    tiny_ = std::move(tiny);
    EmulationOptions options;
    options.order = GetParam();
    form_ = std::make_unique<CoarseForm>(tiny_, options);
  }

  // `halves` are those of `table` times `scale`, and zeros beyond it; `ranges`
  // are those of the columns.
  static void ExpectPacked(const AlignedMatrix& table, float scale,
                           const HalfMatrix& halves,
                           const ColumnRange* ranges) {
    std::vector<ColumnRange> expected(halves.columns);
    for (uint64_t row = 0; row < halves.rows; ++row) {
      for (uint32_t k = 0; k < halves.columns; ++k) {
        const bool exists = row < table.rows() && k < table.cols();
        const float value = exists ? table.row(row)[k] * scale : 0;
        const float half = FloatOfHalf(HalfBits(value));
        ASSERT_EQ(halves.at(row, k), half) << "row " << row << ", " << k;
        if (!exists) continue;
        ColumnRange& range = expected[k];
        range.low = row == 0 ? value : std::min(range.low, value);
        range.high = row == 0 ? value : std::max(range.high, value);
        range.error = std::max(range.error, std::fabs(half - value));
      }
    }
    for (uint32_t k = 0; k < halves.columns; ++k) {
      ASSERT_EQ(ranges[k].low, expected[k].low) << k;
      ASSERT_EQ(ranges[k].high, expected[k].high) << k;
      ASSERT_EQ(ranges[k].error, expected[k].error) << k;
    }
  }

  void ExpectItemsPacked() const {
    const CoarseModel& model = form_->model();
    const CoarseScales& scales = form_->network().scales();
    ExpectPacked(tiny_.items.tower, scales.tower, form_->item_tower(),
                 model.tower_range);
    ExpectPacked(tiny_.items.gmf, scales.item_gmf, form_->item_gmf(),
                 model.gmf_range);
  }

  void ExpectStartsPacked() const {
    const CoarseModel& model = form_->model();
    float largest = 0;
    for (uint64_t row = 0; row < uint64_t{model.num_tiles} * kTileItems;
         ++row) {
      float start = 0;
      if (row < tiny_.model.shape.num_items) {
        const float bias = tiny_.items.bias.empty() ? 0 : tiny_.items.bias[row];
        start = (tiny_.model.network.head_bias + bias) * model.score_scale;
      }
      ASSERT_EQ(model.item_start[row], start) << row;
      largest = std::max(largest, std::fabs(start));
    }
    EXPECT_EQ(model.start_magnitude, largest);
    EXPECT_EQ(model.start_error, largest * 0x1p-24F);
  }

  // A matrix [out, in] of halves against weights times `scale`, and what the
  // bound knows of it.
  static void ExpectWeights(const HalfMatrix& halves, const float* weights,
                            uint32_t out, uint32_t in, float scale,
                            const float* value, const float* error) {
    for (uint32_t o = 0; o < halves.rows; ++o) {
      for (uint32_t k = 0; k < halves.columns; ++k) {
        const float exact = o < out && k < in ? weights[o * in + k] * scale : 0;
        const float half = FloatOfHalf(HalfBits(exact));
        ASSERT_EQ(halves.at(o, k), half) << o << ", " << k;
        ASSERT_EQ(value[k * halves.rows + o], half) << o << ", " << k;
        ASSERT_EQ(error[k * halves.rows + o], half - exact) << o << ", " << k;
      }
    }
  }

  void ExpectNetworkPacked() const {
    const CoarseModel& model = form_->model();
    const CoarseScales& scales = form_->network().scales();
    const ScoreNetwork& network = tiny_.model.network;
    float scale = scales.tower;
    ASSERT_EQ(model.num_layers, network.layers.size());
    for (uint32_t l = 0; l < model.num_layers; ++l) {
      const DenseLayer& layer = network.layers[l];
      ExpectWeights(form_->weights(l), layer.weight.data(), layer.out, layer.in,
                    scales.weights[l], model.layers[l].value,
                    model.layers[l].weight_error);
      scale *= scales.weights[l];
      for (uint32_t o = 0; o < model.layers[l].out; ++o) {
        ASSERT_EQ(model.layers[l].bias[o],
                  o < layer.out ? layer.bias[o] * scale : 0);
      }
    }
    ExpectWeights(form_->head(), network.head_weight.data(), 1,
                  static_cast<uint32_t>(network.head_weight.size()),
                  scales.head, model.head_value, model.head_error);
  }

  TinyModel tiny_;
  std::unique_ptr<CoarseForm> form_;
};

TEST_P(CoarseNetworkTest, PacksHalvesOfEveryShape) {
  const Widths towers[] = {{},           {32, 16, 8}, {31, 3, 1}, {64, 32, 16},
                           {33, 17, 16}, {128, 64},   {5, 6}};
  for (const Widths& tower : towers) {
    for (const uint32_t gmf_width : {0, 1, 8, 19}) {
      for (const uint64_t num_items : {1, 16, 97}) {
        if (tower.empty() && gmf_width == 0) continue;
        SCOPED_TRACE(absl::StrCat(num_items, " items, G ", gmf_width, ", ",
                                  tower.size(), " layers"));
        TinyModelOptions options = Sized(num_items, gmf_width, tower);
        options.item_bias = num_items != 16;
        Use(options);
        ASSERT_TRUE(form_->exists());
        ASSERT_NO_FATAL_FAILURE(ExpectItemsPacked());
        ASSERT_NO_FATAL_FAILURE(ExpectStartsPacked());
        ASSERT_NO_FATAL_FAILURE(ExpectNetworkPacked());
      }
    }
  }
}

TEST_P(CoarseNetworkTest, PacksTablesWiderThanABlock) {
  Use(Sized(33, 700, {}));
  ExpectItemsPacked();
}

TEST_P(CoarseNetworkTest, RangesAreThoseOfItemsAlone) {
  TinyModel tiny = MakeTinyModel(Sized(17, 3, {7, 4}));
  for (uint64_t row = 0; row < 17; ++row) {
    tiny.items.tower.row(row)[2] = 5;
    tiny.items.tower.row(row)[3] = -0.0F;
    tiny.items.tower.row(row)[4] = -FLT_TRUE_MIN;
  }
  tiny.items.gmf.row(16)[1] = -50;
  tiny.items.bias[16] = -70;
  tiny.items.bias[0] = 71;
  Use(std::move(tiny));
  const ItemRanges& ranges = form_->ranges();
  EXPECT_EQ(ranges.tower[2].low, 5);
  EXPECT_EQ(ranges.tower[2].high, 5);
  EXPECT_EQ(ranges.tower[3].low, 0);
  EXPECT_EQ(ranges.tower[3].high, 0);
  EXPECT_EQ(ranges.tower[4].high, -FLT_TRUE_MIN);
  EXPECT_EQ(ranges.gmf[1].low, -50);
  EXPECT_EQ(ranges.bias.low, -70);
  EXPECT_EQ(ranges.bias.high, 71);
}

TEST_P(CoarseNetworkTest, RangesTellOfWhatIsNotFinite) {
  for (const float number : {NAN, -NAN, INFINITY, -INFINITY}) {
    std::vector<float> column(50, 1);
    column[37] = number;
    ColumnBits bits;
    MeasureColumns kernel;
    kernel.values = column.data();
    kernel.num_rows = 50;
    kernel.width = 1;
    kernel.columns = &bits;
    Run(kernel, 2, 0);
    const ColumnRange range = RangeOf(bits);
    EXPECT_FALSE(std::isfinite(range.low) && std::isfinite(range.high))
        << number;
  }
}

// A bias of layer 2 that no scale between the others' brings into halves.
TEST_P(CoarseNetworkTest, IsNotMadeWhereZerosAloneOverflowHalves) {
  TinyModel tiny = MakeTinyModel(Sized(20, 3, {7, 4}));
  for (uint64_t row = 0; row < 20; ++row) {
    for (float& value : tiny.items.tower.row(row)) value *= 1e-20F;
  }
  tiny.model.network.layers[0].bias[1] = 1e35F;
  Use(std::move(tiny));
  EXPECT_FALSE(form_->exists());
}

TEST_P(CoarseNetworkTest, IsMadeOfZeros) {
  TinyModel tiny = MakeTinyModel(Sized(20, 3, {7, 4, 2}));
  tiny.items.tower = AlignedMatrix(20, 7);
  tiny.items.gmf = AlignedMatrix(20, 3);
  tiny.items.bias.assign(20, 0);
  for (DenseLayer& layer : tiny.model.network.layers) {
    std::fill(layer.weight.begin(), layer.weight.end(), 0.0F);
    std::fill(layer.bias.begin(), layer.bias.end(), 0.0F);
  }
  tiny.model.network.head_weight = {0, 0};
  tiny.model.network.head_bias = 0;
  Use(std::move(tiny));
  ASSERT_TRUE(form_->exists());
  ExpectItemsPacked();
  ExpectNetworkPacked();
}

INSTANTIATE_TEST_SUITE_P(Orders, CoarseNetworkTest, AllOrders(), OrderName);

}  // namespace
}  // namespace neumf::cuda
