// The theorem of error_bound.h, for every item of models of all kinds and
// multiplications that round as badly as they may; and what else PrepareUsers
// writes.

#include "scoring/cuda/kernels/prepare_users.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "absl/strings/str_cat.h"
#include "scoring/cuda/device/half.h"
#include "tests/scoring/cuda/coarse_form.h"
#include "tests/scoring/scorer_models.h"
#include "tests/support/tiny_query.h"

namespace neumf::cuda {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class PrepareUsersTest : public testing::Test {
 protected:
  void Use(TinyModel tiny, const EmulationOptions& options = {}) {
    tiny_ = std::move(tiny);
    form_ = std::make_unique<CoarseForm>(tiny_, options);
    ASSERT_TRUE(form_->exists());
    queries_.clear();
    for (uint32_t user = 0; user < tiny_.model.shape.num_users; ++user) {
      queries_.push_back(QueryOf(tiny_, user, 5));
    }
  }
  void Prepare() { form_->Prepare(queries_); }

  // What the errors of two items' scores differ by at most, each rounded in any
  // of the ways.
  double LargestDifference(uint32_t user) const {
    const double scale = form_->model().score_scale;
    const std::vector<float> exact = ExactScores(tiny_, queries_[user]);
    double least = HUGE_VAL;
    double most = -HUGE_VAL;
    for (uint32_t item = 0; item < exact.size(); ++item) {
      for (const CoarseSums sums : kAllCoarseSums) {
        const double error =
            form_->Score(user, item, sums) - scale * exact[item];
        if (std::isnan(error)) return error;
        least = std::min(least, error);
        most = std::max(most, error);
      }
    }
    return most - least;
  }
  double LargestPartOfMargin(uint32_t user) {
    return LargestDifference(user) / form_->pass().margin(user);
  }

  void ExpectBoundHolds(uint32_t user) {
    ASSERT_EQ(form_->pass().outcome(user), Outcome::kReady) << "user " << user;
    ASSERT_TRUE(std::isfinite(form_->pass().margin(user)));
    ASSERT_LE(LargestPartOfMargin(user), 1) << "user " << user;
  }

  // Whatever the item, its units of layer 1 are 0, and its gmf adds nothing.
  void ExpectHarmless(uint32_t user) const {
    for (uint32_t k = 0; k < form_->user_tower().columns; ++k) {
      EXPECT_EQ(form_->user_tower().at(user, k), -kLargestHalf);
    }
    for (uint32_t k = 0; k < form_->user_gmf().columns; ++k) {
      EXPECT_EQ(form_->user_gmf().at(user, k), 0);
    }
  }

  void ExpectUnbounded(uint32_t user) const {
    EXPECT_EQ(form_->pass().outcome(user), Outcome::kUnbounded);
    EXPECT_EQ(form_->pass().threshold(user), kInfinity);
    EXPECT_EQ(form_->pass().count(user), 0);
    ExpectHarmless(user);
  }

  TinyModel tiny_;
  std::unique_ptr<CoarseForm> form_;
  std::vector<RankQuery> queries_;
};

std::vector<Widths> Towers() {
  return {{},         {32, 16, 8}, {3, 5, 1}, {64, 32, 16},
          {33, 7, 9}, {128, 64},   {1, 1},    {70, 9}};
}

void Multiply(absl::Span<float> values, float factor) {
  for (float& value : values) value *= factor;
}
void Multiply(AlignedMatrix& table, float factor) {
  Multiply(absl::MakeSpan(table.data(), table.size()), factor);
}
void Fill(absl::Span<float> values, float value) {
  std::fill(values.begin(), values.end(), value);
}

// Halfway between two halves.
float Midpoint(float value) {
  return FloatOfBits((BitsOfFloat(value) & ~0x1FFFU) | 0x1000);
}
void Midpoints(absl::Span<float> values) {
  std::transform(values.begin(), values.end(), values.begin(), Midpoint);
}
void Midpoints(AlignedMatrix& table) {
  Midpoints(absl::MakeSpan(table.data(), table.size()));
}

// What makes a model awkward, by name.
struct Twist {
  const char* name;
  std::function<void(TinyModel&)> apply;
  bool may_be_unbounded = false;  // user 1
};

std::vector<Twist> TwistsOfAll() {
  return {
      {"as it is", [](TinyModel&) {}},
      {"midpoints",
       [](TinyModel& tiny) {
         Midpoints(tiny.items.tower);
         Midpoints(tiny.items.gmf);
         Midpoints(tiny.model.users.tower);
         Midpoints(tiny.model.users.gmf);
         for (DenseLayer& layer : tiny.model.network.layers) {
           Midpoints(absl::MakeSpan(layer.weight));
         }
         Midpoints(absl::MakeSpan(tiny.model.network.head_weight));
       }},
      {"everything denormal",
       [](TinyModel& tiny) { tiny = Scaled(std::move(tiny), 0x1p-140F); }},
      {"everything large",
       [](TinyModel& tiny) { tiny = Scaled(std::move(tiny), 0x1p+80F); }},
      {"one huge bias", [](TinyModel& tiny) { tiny.items.bias[3] = 1e7F; }},
  };
}

std::vector<Twist> TwistsOfTables() {
  return {
      {"one huge item",
       [](TinyModel& tiny) {
         Multiply(tiny.items.gmf.row(5), 1e4F);
         Multiply(tiny.items.tower.row(5), 1e4F);
       }},
      {"one huge column",
       [](TinyModel& tiny) {
         const size_t first = tiny.items.tower.empty() ? 0 : 1;
         for (uint64_t row = 0; row < tiny.items.tower.rows(); ++row) {
           Multiply(tiny.items.tower.row(row).first(first), 1e3F);
         }
       }},
      {"items alike",
       [](TinyModel& tiny) {
         for (uint64_t row = 0; row < tiny.items.tower.rows(); ++row) {
           Fill(tiny.items.tower.row(row), 0.7F);
         }
       }},
      {"one large user",
       [](TinyModel& tiny) { Multiply(tiny.model.users.tower.row(1), 8); },
       true},
      {"one huge user",
       [](TinyModel& tiny) { Multiply(tiny.model.users.tower.row(1), 1e5F); },
       true},
      {"a huge gmf vector",
       [](TinyModel& tiny) { Multiply(tiny.model.users.gmf.row(1), 1e5F); },
       true},
      {"a user below all items",
       [](TinyModel& tiny) { Fill(tiny.model.users.tower.row(1), -1e5F); }},
      {"a user above all items",
       [](TinyModel& tiny) { Fill(tiny.model.users.tower.row(1), 9); }, true},
      {"tiny users",
       [](TinyModel& tiny) {
         Multiply(tiny.model.users.tower, 1e-6F);
         Multiply(tiny.model.users.gmf, 1e-6F);
       }},
  };
}

// `apply` to each layer.
std::function<void(TinyModel&)> ForLayers(
    std::function<void(DenseLayer&)> apply) {
  return [apply = std::move(apply)](TinyModel& tiny) {
    for (DenseLayer& layer : tiny.model.network.layers) apply(layer);
  };
}

std::vector<Twist> TwistsOfLayers() {
  return {
      {"dead and always active units", ForLayers([](DenseLayer& layer) {
         layer.bias[0] = -1e4F;
         layer.bias.back() = 1e4F;
       })},
      {"all weights zero", ForLayers([](DenseLayer& layer) {
         Fill(absl::MakeSpan(layer.weight), 0);
         Fill(absl::MakeSpan(layer.bias), 0);
       })},
      {"huge weights",
       ForLayers([](DenseLayer& layer) { layer.weight[0] = 1e6F; })},
      {"tiny weights", ForLayers([](DenseLayer& layer) {
         Multiply(absl::MakeSpan(layer.weight), 1e-9F);
       })},
      {"everything positive", ForLayers([](DenseLayer& layer) {
         for (float& weight : layer.weight) weight = std::fabs(weight);
       })},
  };
}

std::vector<Twist> Twists() {
  std::vector<Twist> all = TwistsOfAll();
  for (const auto& more : {TwistsOfTables(), TwistsOfLayers()}) {
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

TEST_F(PrepareUsersTest, BoundsTheErrorOfEveryItem) {
  for (const Widths& tower : Towers()) {
    for (const Twist& twist : Twists()) {
      for (const uint32_t gmf_width : {0, 5}) {
        if (tower.empty() && gmf_width == 0) continue;
        SCOPED_TRACE(absl::StrCat(tower.size(), " layers, G ", gmf_width, ", ",
                                  twist.name));
        TinyModel tiny = MakeTinyModel(Sized(61, gmf_width, tower));
        twist.apply(tiny);
        ASSERT_NO_FATAL_FAILURE(Use(std::move(tiny)));
        Prepare();
        for (uint32_t user = 0; user < queries_.size(); ++user) {
          if (twist.may_be_unbounded && user == 1 &&
              form_->pass().outcome(user) == Outcome::kUnbounded) {
            continue;
          }
          ASSERT_NO_FATAL_FAILURE(ExpectBoundHolds(user));
        }
      }
    }
  }
}

TEST_F(PrepareUsersTest, BoundsTheErrorOnRandomModels) {
  std::mt19937_64 random(3);
  const std::vector<Widths> towers = Towers();
  for (int i = 0; i < 100; ++i) {
    SCOPED_TRACE(absl::StrCat("model ", i));
    Widths tower = towers[random() % towers.size()];
    for (uint32_t& width : tower)
      width -= static_cast<uint32_t>(random() % width);
    const auto gmf_width = static_cast<uint32_t>(1 + random() % 20);
    TinyModelOptions options = Sized(30 + random() % 50, gmf_width, tower);
    options.seed = random();
    TinyModel tiny = MakeTinyModel(options);
    Multiply(tiny.model.users.tower, static_cast<float>(1 + random() % 8));
    Multiply(tiny.model.users.gmf, static_cast<float>(1 + random() % 100));
    for (DenseLayer& layer : tiny.model.network.layers) {
      Multiply(absl::MakeSpan(layer.weight), 0.3F);
    }
    ASSERT_NO_FATAL_FAILURE(Use(std::move(tiny)));
    Prepare();
    for (uint32_t user = 0; user < queries_.size(); ++user) {
      ASSERT_NO_FATAL_FAILURE(ExpectBoundHolds(user));
    }
  }
}

// Items' halves that are off by all that they can be, either way: half the
// margin would not hold.
TEST_F(PrepareUsersTest, GivesAMarginThatErrorsOfGmfReach) {
  TinyModel tiny = MakeTinyModel(Sized(40, 1, {}));
  tiny.model.users.gmf.row(0)[0] = 1;
  for (uint64_t item = 0; item < 40; ++item) {
    const float midpoint = 1.5F + 0x1p-11F;
    tiny.items.gmf.row(item)[0] =
        std::nextafter(midpoint, item % 2 == 0 ? 0.0F : 2.0F);
  }
  tiny.items.bias.assign(40, 0);
  tiny.model.network.head_bias = 0;
  Use(std::move(tiny));
  Prepare();
  EXPECT_GT(LargestPartOfMargin(0), 0.95);
  EXPECT_LE(LargestPartOfMargin(0), 1);
}

// Numbers that halves hold exactly: what is left are the sums. After a first term
// of 1, each of the others is a little more, or less, than half of what float32
// can add to it.
TEST_F(PrepareUsersTest, GivesAMarginThatErrorsOfSumsReach) {
  constexpr uint32_t kWidth = 64;
  TinyModel tiny = MakeTinyModel(Sized(40, kWidth, {}));
  absl::Span<float> user = tiny.model.users.gmf.row(0);
  std::fill(user.begin(), user.end(), 0x1p-12F);
  user[0] = 1;
  for (uint64_t item = 0; item < 40; ++item) {
    absl::Span<float> row = tiny.items.gmf.row(item);
    std::fill(
        row.begin(), row.end(),
        item % 2 == 0 ? 0x1p-12F * (1 + 0x1p-10F) : 0x1p-12F * (1 - 0x1p-11F));
    row[0] = 1;
  }
  tiny.items.bias.assign(40, 0);
  tiny.model.network.head_bias = 0;
  Use(std::move(tiny));
  Prepare();
  EXPECT_GT(LargestPartOfMargin(0), 0.95);
  EXPECT_LE(LargestPartOfMargin(0), 1);
}

// One unit after another, so that the roundings of all of them add up instead of
// cancelling.
TEST_F(PrepareUsersTest, GivesAMarginThatErrorsOfTowersComeNearTo) {
  TinyModelOptions options = Sized(4000, 0, {1, 1, 1});
  options.item_bias = false;
  TinyModel tiny = MakeTinyModel(options);
  for (DenseLayer& layer : tiny.model.network.layers) {
    layer.weight = {1.0F + 0x1p-6F};
    layer.bias = {0};
  }
  tiny.model.network.head_weight = {1};
  tiny.model.users.tower.row(0)[0] = 2.1F;
  Use(std::move(tiny));
  Prepare();
  EXPECT_GT(LargestPartOfMargin(0), 0.6);
  EXPECT_LE(LargestPartOfMargin(0), 1);
}

// What a margin is for: most of a catalog stays below it. Random numbers, which
// cancel in scores but not in bounds, are worse than trained ones.
TEST_F(PrepareUsersTest, MarginsAreSmallBesideTheScores) {
  const std::pair<Widths, double> cases[] = {{{}, 0.02}, {{32, 16, 8}, 0.1}};
  for (const auto& [tower, most] : cases) {
    SCOPED_TRACE(tower.size());
    TinyModel tiny = MakeTinyModel(Sized(300, 8, tower));
    for (DenseLayer& layer : tiny.model.network.layers) {
      Multiply(absl::MakeSpan(layer.weight), 0.3F);
    }
    Use(std::move(tiny));
    Prepare();
    std::vector<float> scores = ExactScores(tiny_, queries_[0]);
    std::sort(scores.begin(), scores.end());
    const double spread =
        scores[3 * scores.size() / 4] - scores[scores.size() / 4];
    EXPECT_LT(form_->pass().margin(0) / form_->model().score_scale,
              most * spread);
  }
}

TEST_F(PrepareUsersTest, UsersWhoScanStartWithEverything) {
  Use(MakeTinyModel(Sized(40, 3, {8, 4, 2})));
  Prepare();
  for (uint32_t user = 0; user < queries_.size(); ++user) {
    EXPECT_EQ(form_->pass().threshold(user), -kInfinity);
    EXPECT_GT(form_->pass().margin(user), 0);
    EXPECT_EQ(form_->pass().count(user), 0);
    EXPECT_EQ(form_->pass().outcome(user), Outcome::kReady);
  }
}

TEST_F(PrepareUsersTest, WritesTheUsersHalvesAndZerosBesideThem) {
  Use(MakeTinyModel(Sized(40, 11, {30, 7, 2})));
  Prepare();
  const CoarseModel& model = form_->model();
  for (uint32_t user = 0; user < queries_.size(); ++user) {
    const auto expected = [](const float* vector, uint32_t width, uint32_t k,
                             float scale) {
      return k < width ? FloatOfHalf(HalfBits(vector[k] * scale)) : 0;
    };
    for (uint32_t k = 0; k < 32; ++k) {
      ASSERT_EQ(form_->user_tower().at(user, k),
                expected(queries_[user].user_tower, 30, k, model.tower_scale));
    }
    for (uint32_t k = 0; k < 16; ++k) {
      ASSERT_EQ(form_->user_gmf().at(user, k),
                expected(queries_[user].user_gmf, 11, k, model.user_gmf_scale));
    }
  }
}

// No unit of theirs is active, whatever the item.
TEST_F(PrepareUsersTest, UsersWhoDoNotScanPassNothingAndHarmNobody) {
  Use(MakeTinyModel(Sized(40, 3, {8, 4, 2})));
  const std::vector<uint32_t> rows = {3, 5};
  queries_[0].allow_rows = rows;
  queries_[2].k = 0;
  Prepare();
  EXPECT_EQ(form_->pass().threshold(1), -kInfinity);
  for (uint32_t user = 0; user < form_->max_users(); ++user) {
    if (user == 1) continue;
    SCOPED_TRACE(user);
    EXPECT_EQ(form_->pass().threshold(user), kInfinity);
    EXPECT_EQ(form_->pass().count(user), 0);
    EXPECT_EQ(form_->pass().outcome(user), Outcome::kReady);
    ExpectHarmless(user);
  }
}

TEST_F(PrepareUsersTest, UsersBeyondHalvesHaveNoBoundAndHarmNobody) {
  Use(MakeTinyModel(Sized(40, 3, {8, 4, 2})));
  for (const float number :
       {NAN, kInfinity, -kInfinity, FLT_MAX, -FLT_MAX, 1e6F}) {
    SCOPED_TRACE(number);
    const std::vector<float> tower(8, number);
    queries_[1] = QueryOf(tiny_, 1, 5);
    queries_[1].user_tower = tower.data();
    Prepare();
    ExpectUnbounded(1);
  }
  for (const float number : {NAN, kInfinity, -kInfinity, FLT_MAX, -FLT_MAX}) {
    SCOPED_TRACE(number);
    const std::vector<float> gmf(3, number);
    queries_[1] = QueryOf(tiny_, 1, 5);
    queries_[1].user_gmf = gmf.data();
    Prepare();
    ExpectUnbounded(1);
  }
  for (const uint32_t user : {0, 2}) ExpectBoundHolds(user);
}

// The largest item alone takes a unit of layer 1 there.
TEST_F(PrepareUsersTest, ActivationsBeyondHalvesHaveNoBound) {
  TinyModel tiny = MakeTinyModel(Sized(40, 3, {8, 4, 2}));
  tiny.items.tower.row(7)[3] = 100;
  // Layer 2 is not to overflow before.
  for (uint32_t o = 0; o < 4; ++o) {
    tiny.model.network.layers[0].weight[o * 8 + 3] = 0;
  }
  Use(std::move(tiny));
  const float limit = kLargestHalf / form_->model().tower_scale;
  std::vector<float> tower(8, 0);
  queries_[0].user_tower = tower.data();
  tower[3] = 0.99F * limit - 100;
  Prepare();
  ExpectBoundHolds(0);
  tower[3] = 1.01F * limit - 100;
  Prepare();
  ExpectUnbounded(0);
}

// A column that all items leave at 0, and so the scales out of account.
TEST_F(PrepareUsersTest, SumsBeyondHalvesHaveNoBound) {
  TinyModel tiny = MakeTinyModel(Sized(40, 3, {8, 4, 2}));
  for (uint64_t row = 0; row < 40; ++row) tiny.items.tower.row(row)[3] = 0;
  tiny.model.network.layers[0].weight[3] = 1000;
  Use(std::move(tiny));
  std::vector<float> tower(8, 0);
  queries_[0].user_tower = tower.data();
  Prepare();
  ExpectBoundHolds(0);
  // Well within halves in layer 1.
  tower[3] = kLargestHalf / 4 / form_->model().tower_scale;
  ASSERT_GT(tower[3] * 1000 * form_->network().scales().tower *
                form_->network().scales().weights[0],
            kLargestHalf);
  Prepare();
  ExpectUnbounded(0);
}

TEST_F(PrepareUsersTest, DoesTheSameInAnyOrderAndCompany) {
  Use(MakeTinyModel(Sized(40, 19, {60, 30, 16})));
  Prepare();
  const float margin = form_->pass().margin(2);
  const HalfMatrix tower = form_->user_tower();
  const HalfMatrix gmf = form_->user_gmf();
  for (const Order order : {Order::kDescending, Order::kShuffled}) {
    EmulationOptions options;
    options.order = order;
    Use(MakeTinyModel(Sized(40, 19, {60, 30, 16})), options);
    queries_ = {queries_[2]};
    Prepare();
    EXPECT_EQ(form_->pass().margin(0), margin);
    for (uint32_t k = 0; k < tower.columns; ++k) {
      EXPECT_EQ(form_->user_tower().at(0, k), tower.at(2, k));
    }
    for (uint32_t k = 0; k < gmf.columns; ++k) {
      EXPECT_EQ(form_->user_gmf().at(0, k), gmf.at(2, k));
    }
  }
}

}  // namespace
}  // namespace neumf::cuda
