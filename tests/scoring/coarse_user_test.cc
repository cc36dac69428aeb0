// The theorem of coarse_user.h, for every item of models of all kinds, with the
// integers computed one by one; and the kernel against those.

#include "scoring/cpu/coarse_user.h"

#include <cfloat>
#include <cmath>
#include <functional>
#include <random>

#include "absl/strings/str_cat.h"
#include "hwy/highway.h"
#include "scoring/cpu/packed_network.h"
#include "tests/scoring/scorer_fixture.h"

namespace neumf {
namespace {

// The score of CoarseKernel for one item, by its definition.
class CoarseTwin {
 public:
  CoarseTwin(const KernelNetwork& network, const CoarseInput& input)
      : network_(network), input_(input) {}

  float Score(const uint8_t* coarse_block, const float* block,
              size_t lane) const {
    const float* column = block + network_.tower_width * kBlockItems + lane;
    float score = network_.head_bias;
    for (size_t k = 0; k < network_.gmf_width; ++k, column += kBlockItems) {
      score = std::fma(input_.user_gmf[k], *column, score);
    }
    const std::vector<int32_t> sums = Sums(coarse_block, lane);
    for (size_t o = 0; o < sums.size(); ++o) {
      const auto h = static_cast<float>(std::max(sums[o], 0));
      score = std::fma(input_.head[o], h, score);
    }
    if (network_.has_item_bias) score += *column;
    return score + 0.0F;
  }

 private:
  // Byte `lane` of a word.
  static uint8_t Byte(int32_t word, size_t lane) {
    return static_cast<uint8_t>(static_cast<uint32_t>(word) >> (8 * lane));
  }

  // Of the last layer.
  std::vector<int32_t> Sums(const uint8_t* coarse_block, size_t lane) const {
    std::vector<uint8_t> h;
    for (size_t k = 0; k < input_.layers[0].in_quads * kCoarseQuad; ++k) {
      const size_t quad = k / kCoarseQuad;
      const int item = coarse_block[(quad * kBlockItems + lane) * kCoarseQuad +
                                    k % kCoarseQuad];
      const int offset = Byte(input_.offsets[quad], k % kCoarseQuad);
      h.push_back(static_cast<uint8_t>(std::max(item - offset, 0)));
    }
    std::vector<int32_t> sums = Layer(input_.layers[0], h);
    for (size_t l = 1; l < input_.num_layers; ++l) {
      h.clear();
      for (size_t o = 0; o < sums.size(); ++o) {
        const int32_t shifted = sums[o] >> input_.layers[l - 1].shift[o];
        h.push_back(static_cast<uint8_t>(std::min(std::max(shifted, 0), 255)));
      }
      sums = Layer(input_.layers[l], h);
    }
    return sums;
  }

  static std::vector<int32_t> Layer(const CoarseLayer& layer,
                                    const std::vector<uint8_t>& h) {
    std::vector<int32_t> sums(layer.groups * kCoarseGroup);
    for (size_t o = 0; o < sums.size(); ++o) {
      int64_t sum = layer.bias[o];
      for (size_t k = 0; k < h.size(); ++k) {
        const size_t group = o / kCoarseGroup * layer.in_quads;
        const int32_t word =
            layer.weight[(group + k / kCoarseQuad) * kCoarseGroup +
                         o % kCoarseGroup];
        sum += int64_t{h[k]} * static_cast<int8_t>(Byte(word, k % kCoarseQuad));
      }
      sums[o] = static_cast<int32_t>(sum);
      EXPECT_EQ(sums[o], sum) << "overflow";
    }
    return sums;
  }

  const KernelNetwork& network_;
  const CoarseInput& input_;
};

class CoarseUserTest : public testing::Test {
 protected:
  void Use(TinyModel tiny) {
    tiny_ = std::move(tiny);
    const ModelShape& shape = tiny_.model.shape;
    packed_ = std::make_unique<PackedItems>(shape);
    NEUMF_EXPECT_OK(StreamItemTables(tiny_.items, [this](const ItemRows& rows) {
      packed_->Store(rows);
      return absl::OkStatus();
    }));
    items_ = std::make_unique<CoarseItems>(shape, *packed_, nullptr);
    network_ = std::make_unique<CoarseNetwork>(shape, tiny_.model.network);
    kernel_network_ = std::make_unique<PackedNetwork>(
        shape, tiny_.model.network, GroupWidths{16, 8, 4});
    user_ = std::make_unique<CoarseUser>(*network_, items_->ranges());
  }

  bool Prepare(uint32_t user) {
    return user_->Prepare(QueryOf(tiny_, user, 1));
  }
  CoarseInput Input() const {
    CoarseInput input;
    user_->Fill(&input);
    return input;
  }

  // By row.
  std::vector<float> CoarseScores() const {
    const CoarseInput input = Input();
    const CoarseTwin twin(kernel_network_->view(), input);
    std::vector<float> scores;
    for (uint64_t row = 0; row < tiny_.model.shape.num_items; ++row) {
      const uint64_t b = row / kBlockItems;
      scores.push_back(
          twin.Score(items_->block(b), packed_->block(b), row % kBlockItems));
    }
    return scores;
  }

  std::vector<float> ReferenceScores(uint32_t user) const {
    const auto num_items = static_cast<uint32_t>(tiny_.model.shape.num_items);
    RankQuery query = QueryOf(tiny_, user, num_items);
    query.seen = {};
    std::vector<Ranking> rankings(1);
    NEUMF_EXPECT_OK(MakeScorer(BackendCase{}, tiny_)
                        ->Rank({query}, absl::MakeSpan(rankings)));
    std::vector<float> scores(num_items, NAN);
    for (const ScoredRow& item : rankings[0].items) {
      scores[item.row] = item.score;
    }
    return scores;
  }

  // The largest part of the bound that an item's error takes.
  double LargestPartOfBound(uint32_t user) const {
    const std::vector<float> expected = ReferenceScores(user);
    const std::vector<float> scores = CoarseScores();
    double largest = 0;
    for (size_t row = 0; row < scores.size(); ++row) {
      const double error = std::fabs(double{scores[row]} - expected[row]);
      if (!(error <= largest)) largest = error;  // NaN stays
    }
    return largest / user_->error();
  }

  void ExpectBoundHolds() {
    for (uint32_t user = 0; user < tiny_.model.shape.num_users; ++user) {
      ASSERT_TRUE(Prepare(user));
      ASSERT_LE(LargestPartOfBound(user), 1) << "user " << user;
    }
  }

  TinyModel tiny_;
  std::unique_ptr<PackedItems> packed_;
  std::unique_ptr<CoarseItems> items_;
  std::unique_ptr<CoarseNetwork> network_;
  std::unique_ptr<PackedNetwork> kernel_network_;
  std::unique_ptr<CoarseUser> user_;
};

std::vector<Widths> Towers() {
  return {{1, 1},
          {4, 4},
          {3, 5},
          {8, 4},
          {33, 17, 9},
          {64, 1, 30},
          {32, 16, 8},
          {7, 6, 5, 4},
          {9, 9, 9, 9, 9},
          {128, 64},
          {16, 15, 14, 13, 12, 11}};
}

void Multiply(AlignedMatrix& table, float factor) {
  for (size_t i = 0; i < table.size(); ++i) table.data()[i] *= factor;
}

// What makes a model awkward, by name.
struct Twist {
  const char* name;
  std::function<void(TinyModel&)> apply;
};

std::vector<Twist> Twists() {
  return {
      {"as it is", [](TinyModel&) {}},
      {"one huge item",
       [](TinyModel& tiny) {
         for (float& value : tiny.items.tower.row(5)) value *= 1e4F;
       }},
      {"one huge user",
       [](TinyModel& tiny) {
         for (float& value : tiny.model.users.tower.row(1)) value *= 1e5F;
       }},
      {"a user below all items",
       [](TinyModel& tiny) {
         for (float& value : tiny.model.users.tower.row(1)) value = -1e5F;
       }},
      {"a user above all items",
       [](TinyModel& tiny) {
         for (float& value : tiny.model.users.tower.row(1)) value = 100;
       }},
      {"columns without a range",
       [](TinyModel& tiny) {
         for (uint64_t row = 0; row < tiny.items.tower.rows(); ++row) {
           tiny.items.tower.row(row)[0] = 0.7F;
         }
       }},
      {"items alike",
       [](TinyModel& tiny) { Multiply(tiny.items.tower, 1e-6F); }},
      {"dead and always active units",
       [](TinyModel& tiny) {
         for (DenseLayer& layer : tiny.model.network.layers) {
           layer.bias[0] = -1e4F;
           layer.bias.back() = 1e4F;
         }
       }},
      {"units that are nothing but a bias",
       [](TinyModel& tiny) {
         for (DenseLayer& layer : tiny.model.network.layers) {
           std::fill_n(layer.weight.begin(), layer.in, 0.0F);
         }
       }},
      {"all weights zero",
       [](TinyModel& tiny) {
         for (DenseLayer& layer : tiny.model.network.layers) {
           std::fill(layer.weight.begin(), layer.weight.end(), 0.0F);
           std::fill(layer.bias.begin(), layer.bias.end(), 0.0F);
         }
       }},
      {"one huge weight",
       [](TinyModel& tiny) { tiny.model.network.layers[0].weight[0] = 1e6F; }},
      {"everything denormal",
       [](TinyModel& tiny) { tiny = Scaled(std::move(tiny), 0x1p-140F); }},
      {"everything large",
       [](TinyModel& tiny) { tiny = Scaled(std::move(tiny), 0x1p+90F); }},
      {"everything positive",
       [](TinyModel& tiny) {
         for (DenseLayer& layer : tiny.model.network.layers) {
           for (float& weight : layer.weight) weight = std::fabs(weight);
         }
       }},
  };
}

TEST_F(CoarseUserTest, BoundsTheErrorOfEveryItem) {
  for (const Widths& tower : Towers()) {
    for (const Twist& twist : Twists()) {
      for (const uint32_t gmf_width : {0, 5}) {
        SCOPED_TRACE(absl::StrCat(tower.size(), " layers from ", tower[0],
                                  ", G ", gmf_width, ", ", twist.name));
        TinyModelOptions options = Sized(333, gmf_width, tower);
        options.item_bias = gmf_width != 0;
        TinyModel tiny = MakeTinyModel(options);
        twist.apply(tiny);
        Use(std::move(tiny));
        ASSERT_NO_FATAL_FAILURE(ExpectBoundHolds());
      }
    }
  }
}

TEST_F(CoarseUserTest, BoundsTheErrorOnRandomModels) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 150; ++i) {
    SCOPED_TRACE(absl::StrCat("model ", i));
    Widths tower;
    for (uint64_t l = 2 + random() % 5; l > 0; --l) {
      tower.push_back(1 + static_cast<uint32_t>(random() % 40));
    }
    TinyModelOptions options = Sized(100 + random() % 300, 3, tower);
    options.seed = random();
    TinyModel tiny = MakeTinyModel(options);
    Multiply(tiny.model.users.tower, std::ldexp(1.0F, random() % 8));
    Use(std::move(tiny));
    ASSERT_NO_FATAL_FAILURE(ExpectBoundHolds());
  }
}

// One unit after another, weights of a whole step each: the errors of the bytes
// add up instead of cancelling. Half the bound would fail.
TEST_F(CoarseUserTest, GivesABoundThatErrorsComeNearTo) {
  TinyModelOptions options = Sized(2000, 0, {1, 1});
  options.item_bias = false;
  TinyModel tiny = MakeTinyModel(options);
  tiny.model.network.layers[0].weight = {1};
  tiny.model.network.layers[0].bias = {0};
  tiny.model.network.head_weight = {1};
  tiny.model.users.tower.row(0)[0] = 50;
  Use(std::move(tiny));
  ASSERT_TRUE(Prepare(0));
  EXPECT_GT(LargestPartOfBound(0), 0.9);
  EXPECT_LE(LargestPartOfBound(0), 1);
}

TEST_F(CoarseUserTest, RefusesNumbersThatFloat32CannotSumUp) {
  Use(MakeTinyModel(Sized(100, 3, {8, 4})));
  for (const float number : {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX}) {
    RankQuery query = QueryOf(tiny_, 0, 1);
    std::vector<float> vector(8, number);
    query.user_tower = vector.data();
    EXPECT_FALSE(user_->Prepare(query)) << "tower of " << number;
    query = QueryOf(tiny_, 0, 1);
    query.user_gmf = vector.data();
    EXPECT_FALSE(user_->Prepare(query)) << "gmf of " << number;
  }
  EXPECT_TRUE(Prepare(0)) << "after those";
}

TEST_F(CoarseUserTest, PreparesTheSameAfterOtherUsers) {
  Use(MakeTinyModel(Sized(100, 3, {9, 30, 4})));
  ASSERT_TRUE(Prepare(0));
  const double error = user_->error();
  const std::vector<float> scores = CoarseScores();
  ASSERT_TRUE(Prepare(1));
  EXPECT_NE(CoarseScores(), scores);
  ASSERT_TRUE(Prepare(0));
  EXPECT_EQ(user_->error(), error);
  EXPECT_EQ(CoarseScores(), scores);
}

TEST_F(CoarseUserTest, KernelComputesWhatIsDefined) {
  const CoarseKernel* const kernel = FindCoarseKernel();
  if (kernel == nullptr) GTEST_SKIP() << "no AVX-512 VNNI on this machine";
  for (const Widths& tower : Towers()) {
    for (const Twist& twist : Twists()) {
      SCOPED_TRACE(absl::StrCat(tower.size(), " layers from ", tower[0], ", ",
                                twist.name));
      TinyModel tiny = MakeTinyModel(Sized(333, tower[0] % 4, tower));
      twist.apply(tiny);
      Use(std::move(tiny));
      ASSERT_TRUE(Prepare(0));
      const std::vector<float> expected = CoarseScores();
      const uint64_t num_blocks = packed_->num_blocks();
      AlignedBuffer scores(num_blocks * kBlockItems);
      AlignedBuffer scratch(KernelScratchFloats(kernel_network_->view()));
      std::vector<uint16_t> hits(num_blocks);
      CoarseInput input = Input();
      input.coarse_blocks = items_->block(0);
      input.blocks = packed_->block(0);
      input.num_blocks = num_blocks;
      input.threshold = expected[7];
      input.scratch = scratch.data();
      kernel->score(kernel_network_->view(), input,
                    {scores.data(), hits.data()});
      for (size_t row = 0; row < expected.size(); ++row) {
        ASSERT_EQ(scores[row], expected[row]) << "row " << row;
        ASSERT_EQ(hits[row / kBlockItems] >> (row % kBlockItems) & 1,
                  expected[row] >= input.threshold);
      }
    }
  }
}

TEST_F(CoarseUserTest, ItemsAreWithinHalfAStepOfTheirBytes) {
  Use(MakeTinyModel(Sized(37, 3, {7, 4})));
  const CoarseRanges& ranges = items_->ranges();
  for (uint64_t row = 0; row < 37; ++row) {
    for (uint32_t k = 0; k < 7; ++k) {
      const double byte = items_->block(
          row /
          kBlockItems)[(k / kCoarseQuad * kBlockItems + row % kBlockItems) *
                           kCoarseQuad +
                       k % kCoarseQuad];
      ASSERT_NEAR(ranges.tower_min[k] + ranges.tower_scale[k] * byte,
                  tiny_.items.tower.row(row)[k],
                  0.5001 * ranges.tower_scale[k]);
    }
  }
}

// Lanes past the last item hold zeros in the float32 blocks.
TEST_F(CoarseUserTest, RangesAreThoseOfItemsAlone) {
  TinyModel tiny = MakeTinyModel(Sized(17, 3, {7, 4}));
  for (uint64_t row = 0; row < 17; ++row) tiny.items.tower.row(row)[2] = 5;
  tiny.items.gmf.row(16)[1] = -50;
  tiny.items.bias[16] = -70;
  Use(std::move(tiny));
  const CoarseRanges& ranges = items_->ranges();
  EXPECT_EQ(ranges.tower_min[2], 5);
  EXPECT_EQ(ranges.tower_max[2], 5);
  EXPECT_EQ(ranges.tower_scale[2], 0);
  EXPECT_EQ(ranges.gmf_largest[1], 50);
  EXPECT_EQ(ranges.bias_largest, 70);
  EXPECT_TRUE(ranges.finite);
}

TEST_F(CoarseUserTest, ItemsThatAreNotFiniteAreNoticed) {
  for (const float number : {NAN, INFINITY, -INFINITY}) {
    TinyModel tiny = MakeTinyModel(Sized(100, 3, {7, 4}));
    tiny.items.gmf.row(40)[1] = number;
    Use(std::move(tiny));
    EXPECT_FALSE(items_->ranges().finite) << number;
  }
}

}  // namespace
}  // namespace neumf
