// The theorem of error_bound.h, for every item of models of all kinds and
// multiplications that round as badly as they may; and what else PrepareUsers
// writes.

#include "scoring/cuda/kernels/prepare_users.h"

#include <gtest/gtest.h>

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

  TinyModel tiny_;
  std::unique_ptr<CoarseForm> form_;
  std::vector<RankQuery> queries_;
};

std::vector<Widths> Towers() {
  return {{},         {32, 16, 8}, {3, 5, 1}, {64, 32, 16},
          {33, 7, 9}, {128, 64},   {1, 1},    {70, 9}};
}

void Multiply(AlignedMatrix& table, float factor) {
  for (size_t i = 0; i < table.size(); ++i) table.data()[i] *= factor;
}

// Halfway between two halves.
float Midpoint(float value) {
  return FloatOfBits((BitsOfFloat(value) & ~0x1FFFU) | 0x1000);
}
void Midpoints(AlignedMatrix& table) {
  for (size_t i = 0; i < table.size(); ++i) {
    table.data()[i] = Midpoint(table.data()[i]);
  }
}
void Midpoints(std::vector<float>& values) {
  for (float& value : values) value = Midpoint(value);
}

// What makes a model awkward, by name.
struct Twist {
  const char* name;
  std::function<void(TinyModel&)> apply;
  bool may_be_unbounded = false;  // user 1
};

std::vector<Twist> Twists() {
  return {
      {"as it is", [](TinyModel&) {}},
      {"midpoints",
       [](TinyModel& tiny) {
         Midpoints(tiny.items.tower);
         Midpoints(tiny.items.gmf);
         Midpoints(tiny.model.users.tower);
         Midpoints(tiny.model.users.gmf);
         for (DenseLayer& layer : tiny.model.network.layers) {
           Midpoints(layer.weight);
         }
         Midpoints(tiny.model.network.head_weight);
       }},
      {"one huge item",
       [](TinyModel& tiny) {
         if (!tiny.items.gmf.empty()) tiny.items.gmf.row(5)[0] *= 1e4F;
         if (!tiny.items.tower.empty()) tiny.items.tower.row(5)[0] *= 1e4F;
       }},
      {"one large user",
       [](TinyModel& tiny) {
         if (tiny.model.users.tower.empty()) return;
         for (float& value : tiny.model.users.tower.row(1)) value *= 8;
       },
       true},
      {"one huge user",
       [](TinyModel& tiny) {
         if (tiny.model.users.tower.empty()) return;
         for (float& value : tiny.model.users.tower.row(1)) value *= 1e5F;
       },
       true},
      {"a huge gmf vector",
       [](TinyModel& tiny) {
         if (tiny.model.users.gmf.empty()) return;
         for (float& value : tiny.model.users.gmf.row(1)) value *= 1e5F;
       },
       true},
      {"a user below all items",
       [](TinyModel& tiny) {
         if (tiny.model.users.tower.empty()) return;
         for (float& value : tiny.model.users.tower.row(1)) value = -1e5F;
       }},
      {"a user above all items",
       [](TinyModel& tiny) {
         if (tiny.model.users.tower.empty()) return;
         for (float& value : tiny.model.users.tower.row(1)) value = 9;
       },
       true},
      {"tiny users",
       [](TinyModel& tiny) {
         Multiply(tiny.model.users.tower, 1e-6F);
         Multiply(tiny.model.users.gmf, 1e-6F);
       }},
      {"columns without a range",
       [](TinyModel& tiny) {
         if (tiny.items.tower.empty()) return;
         for (uint64_t row = 0; row < tiny.items.tower.rows(); ++row) {
           tiny.items.tower.row(row)[0] = 0.7F;
         }
       }},
      {"dead and always active units",
       [](TinyModel& tiny) {
         for (DenseLayer& layer : tiny.model.network.layers) {
           layer.bias[0] = -1e4F;
           layer.bias.back() = 1e4F;
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
       [](TinyModel& tiny) {
         if (tiny.model.network.layers.empty()) return;
         tiny.model.network.layers[0].weight[0] = 1e6F;
       }},
      {"one huge bias", [](TinyModel& tiny) { tiny.items.bias[3] = 1e7F; }},
      {"everything denormal",
       [](TinyModel& tiny) { tiny = Scaled(std::move(tiny), 0x1p-140F); }},
      {"everything large",
       [](TinyModel& tiny) { tiny = Scaled(std::move(tiny), 0x1p+80F); }},
      {"everything positive",
       [](TinyModel& tiny) {
         for (DenseLayer& layer : tiny.model.network.layers) {
           for (float& weight : layer.weight) weight = std::fabs(weight);
         }
       }},
  };
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
    Multiply(tiny.model.users.tower, std::ldexp(1.0F, random() % 4));
    Multiply(tiny.model.users.gmf, std::ldexp(1.0F, random() % 8));
    for (DenseLayer& layer : tiny.model.network.layers) {
      for (float& weight : layer.weight) weight *= 0.3F;
    }
    ASSERT_NO_FATAL_FAILURE(Use(std::move(tiny)));
    Prepare();
    for (uint32_t user = 0; user < queries_.size(); ++user) {
      ASSERT_NO_FATAL_FAILURE(ExpectBoundHolds(user));
    }
  }
}

}  // namespace
}  // namespace neumf::cuda
