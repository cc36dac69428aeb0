#include "trainer/step/optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>
#include <vector>

#include "hwy/targets.h"
#include "tests/support/status_matchers.h"
#include "trainer/random.h"

namespace neumf {
namespace {

using testing::HasSubstr;

constexpr int kSteps = 50;

// Tables of 7, 7, 1 and 1 columns, and dense blocks of awkward sizes.
ModelSpec SpecOf(uint64_t num_users, uint64_t num_items) {
  ModelSpec spec;
  spec.num_users = num_users;
  spec.num_items = num_items;
  spec.factors = 7;
  spec.learned_head = true;
  spec.user_tower_factors = 18;
  spec.item_tower_factors = 3;
  spec.hidden = {5, 3};
  spec.user_bias = true;
  spec.item_bias = true;
  spec.global_bias = true;
  return spec;
}

struct Case {
  std::string name;
  OptimizerOptions options;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  const auto add = [&](const char* name, OptimizerKind kind, double momentum,
                       double weight_decay) {
    OptimizerOptions options;
    options.kind = kind;
    options.learning_rate = 0.01;
    options.momentum = momentum;
    options.weight_decay = weight_decay;
    if (kind == OptimizerKind::kRmsprop) options.beta2 = 0.99;
    cases.push_back({name, options});
  };
  add("Sgd", OptimizerKind::kSgd, 0, 0);
  add("SgdMomentumDecay", OptimizerKind::kSgd, 0.9, 0.1);
  add("Adagrad", OptimizerKind::kAdagrad, 0, 0);
  add("AdagradDecay", OptimizerKind::kAdagrad, 0, 0.1);
  add("Rmsprop", OptimizerKind::kRmsprop, 0, 0);
  add("RmspropMomentumDecay", OptimizerKind::kRmsprop, 0.8, 0.1);
  add("Adam", OptimizerKind::kAdam, 0, 0);
  add("AdamDecay", OptimizerKind::kAdam, 0, 0.1);
  add("AdamW", OptimizerKind::kAdamW, 0, 0.1);
  return cases;
}

// One parameter as the documentation of torch.optim writes it down, in
// float64.
class TorchFormulas {
 public:
  TorchFormulas(const OptimizerOptions& options, double parameter)
      : options_(options), parameter_(parameter) {}

  double parameter() const { return parameter_; }

  void Step(double g, double scale) {
    ++t_;
    const double lr = options_.learning_rate * scale;
    if (options_.kind == OptimizerKind::kAdamW) {
      parameter_ -= lr * options_.weight_decay * parameter_;
    } else {
      g += options_.weight_decay * parameter_;
    }
    switch (options_.kind) {
      case OptimizerKind::kSgd:
        buffer_ = t_ == 1 ? g : options_.momentum * buffer_ + g;
        parameter_ -= lr * buffer_;
        return;
      case OptimizerKind::kAdagrad:
        square_ += g * g;
        parameter_ -= lr * g / (std::sqrt(square_) + options_.epsilon);
        return;
      case OptimizerKind::kRmsprop:
        square_ = options_.beta2 * square_ + (1 - options_.beta2) * g * g;
        buffer_ = options_.momentum * buffer_ +
                  g / (std::sqrt(square_) + options_.epsilon);
        parameter_ -= lr * buffer_;
        return;
      case OptimizerKind::kAdam:
      case OptimizerKind::kAdamW: {
        buffer_ = options_.beta1 * buffer_ + (1 - options_.beta1) * g;
        square_ = options_.beta2 * square_ + (1 - options_.beta2) * g * g;
        const double m = buffer_ / (1 - std::pow(options_.beta1, t_));
        const double v = square_ / (1 - std::pow(options_.beta2, t_));
        parameter_ -= lr * m / (std::sqrt(v) + options_.epsilon);
        return;
      }
    }
  }

 private:
  const OptimizerOptions options_;
  double parameter_;
  double buffer_ = 0;
  double square_ = 0;
  int t_ = 0;
};

std::vector<float> RandomValues(size_t size, double spread, Random& random) {
  std::vector<float> values(size);
  for (float& v : values) v = static_cast<float>(spread * random.Normal());
  return values;
}

// Every optimizer on every instruction set of this machine.
class OptimizerTest : public testing::TestWithParam<std::tuple<int64_t, Case>> {
 protected:
  OptimizerTest() { hwy::SetSupportedTargetsForTest(std::get<0>(GetParam())); }
  ~OptimizerTest() override { hwy::SetSupportedTargetsForTest(0); }

  static OptimizerOptions Options(Updates updates) {
    OptimizerOptions options = std::get<1>(GetParam()).options;
    options.updates = updates;
    return options;
  }

  // Fills what the batch touches: each row with some chance, and all that is
  // dense. Step 3 touches nothing.
  static void Fill(double share, int step, const ParameterLayout& layout,
                   Random& random, Gradient* gradient) {
    gradient->Clear();
    if (step == 3) return;
    size_t dense_begin = 0;
    for (size_t t = 0; t < gradient->num_tables(); ++t) {
      const ParameterBlock& table = gradient->table(t);
      dense_begin = table.offset + table.size();
      for (uint32_t row = 0; row < table.rows; ++row) {
        if (random.Uniform(0, 1) >= share) continue;
        float* const values = gradient->Touch(t, row);
        for (size_t c = 0; c < table.cols; ++c) {
          values[c] = static_cast<float>(random.Normal());
        }
      }
    }
    for (size_t i = dense_begin; i < layout.size; ++i) {
      gradient->values()[i] = static_cast<float>(random.Normal());
    }
  }
};

TEST_P(OptimizerTest, MovesAsTheFormulasOfTorchDo) {
  const ParameterLayout layout(SpecOf(5, 9));
  Random random(1);
  ThreadPool threads(1, "test");
  std::vector<float> parameters = RandomValues(layout.size, 0.1, random);
  std::vector<TorchFormulas> expected;
  expected.reserve(layout.size);
  for (float p : parameters) expected.emplace_back(Options(Updates::kDense), p);
  Optimizer optimizer(layout, Options(Updates::kDense));
  Gradient gradient(layout);
  for (int step = 0; step < kSteps; ++step) {
    const double scale = step < 20 ? 1 : 0.5;
    Fill(0.5, step, layout, random, &gradient);
    optimizer.Step(gradient, scale, absl::MakeSpan(parameters), threads);
    for (size_t i = 0; i < layout.size; ++i) {
      expected[i].Step(gradient.values()[i], scale);
    }
  }
  EXPECT_EQ(optimizer.num_steps(), kSteps);
  for (size_t i = 0; i < layout.size; ++i) {
    ASSERT_NEAR(parameters[i], expected[i].parameter(), 3e-6) << i;
  }
}

TEST_P(OptimizerTest, RowUpdatesOfAllRowsAreDenseUpdates) {
  const ParameterLayout layout(SpecOf(11, 6));
  ThreadPool threads(1, "test");
  Random random(2);
  std::vector<float> dense = RandomValues(layout.size, 0.1, random);
  std::vector<float> rows = dense;
  Optimizer by_range(layout, Options(Updates::kDense));
  Optimizer by_row(layout, Options(Updates::kRows));
  Gradient gradient(layout);
  for (int step = 4; step < 14; ++step) {
    Fill(1, step, layout, random, &gradient);
    by_range.Step(gradient, 1, absl::MakeSpan(dense), threads);
    by_row.Step(gradient, 1, absl::MakeSpan(rows), threads);
  }
  EXPECT_EQ(dense, rows);
  EXPECT_EQ(by_range.first_moment(), by_row.first_moment());
  EXPECT_EQ(by_range.second_moment(), by_row.second_moment());
}

TEST_P(OptimizerTest, RowsThatAreNotTouchedRestWithTheirMoments) {
  const ParameterLayout layout(SpecOf(12, 8));
  ThreadPool threads(1, "test");
  Random random(3);
  std::vector<float> parameters = RandomValues(layout.size, 0.1, random);
  Optimizer optimizer(layout, Options(Updates::kRows));
  Gradient gradient(layout);
  for (int step = 0; step < 10; ++step) {
    Fill(0.4, step, layout, random, &gradient);
    const std::vector<float> before = parameters;
    const auto copy = [](absl::Span<float> moment) {
      return std::vector<float>(moment.begin(), moment.end());
    };
    const std::vector<float> first = copy(optimizer.first_moment());
    const std::vector<float> second = copy(optimizer.second_moment());
    optimizer.Step(gradient, 1, absl::MakeSpan(parameters), threads);
    for (size_t t = 0; t < gradient.num_tables(); ++t) {
      const ParameterBlock& table = gradient.table(t);
      const absl::Span<const uint32_t> touched = gradient.touched(t);
      for (uint32_t row = 0; row < table.rows; ++row) {
        const bool is_touched =
            std::find(touched.begin(), touched.end(), row) != touched.end();
        for (size_t c = 0; c < table.cols; ++c) {
          const size_t i = table.offset + row * table.cols + c;
          ASSERT_EQ(parameters[i] != before[i], is_touched);
          if (is_touched) continue;
          if (!first.empty()) {
            ASSERT_EQ(optimizer.first_moment()[i], first[i]);
          }
          if (!second.empty()) {
            ASSERT_EQ(optimizer.second_moment()[i], second[i]);
          }
        }
      }
    }
  }
}

TEST_P(OptimizerTest, EachNumberOfThreadsGivesTheSameBits) {
  const ParameterLayout layout(SpecOf(9000, 1001));
  ASSERT_GT(layout.size, 200'000U);  // enough to wake threads
  for (const Updates updates : {Updates::kDense, Updates::kRows}) {
    std::vector<std::vector<float>> results;
    for (const size_t num_threads : {1, 2, 5}) {
      ThreadPool threads(num_threads, "test");
      Random random(4);
      std::vector<float> parameters(layout.size, 0.5F);
      Optimizer optimizer(layout, Options(updates));
      Gradient gradient(layout);
      for (int step = 0; step < 2; ++step) {
        Fill(1, step, layout, random, &gradient);
        optimizer.Step(gradient, 1, absl::MakeSpan(parameters), threads);
      }
      results.push_back(parameters);
    }
    EXPECT_EQ(results[0], results[1]);
    EXPECT_EQ(results[0], results[2]);
  }
}

TEST_P(OptimizerTest, GoesOnFromWhatARunLeft) {
  const ParameterLayout layout(SpecOf(6, 5));
  ThreadPool threads(1, "test");
  Random random(5);
  std::vector<float> parameters = RandomValues(layout.size, 0.1, random);
  Optimizer first(layout, Options(Updates::kRows));
  Gradient gradient(layout);
  for (int step = 0; step < 5; ++step) {
    Fill(0.5, step, layout, random, &gradient);
    first.Step(gradient, 1, absl::MakeSpan(parameters), threads);
  }
  Optimizer second(layout, Options(Updates::kRows));
  second.set_num_steps(first.num_steps());
  std::copy(first.first_moment().begin(), first.first_moment().end(),
            second.first_moment().begin());
  std::copy(first.second_moment().begin(), first.second_moment().end(),
            second.second_moment().begin());
  std::vector<float> resumed = parameters;
  Fill(0.5, 5, layout, random, &gradient);
  first.Step(gradient, 1, absl::MakeSpan(parameters), threads);
  second.Step(gradient, 1, absl::MakeSpan(resumed), threads);
  EXPECT_EQ(parameters, resumed);
}

std::vector<int64_t> Targets() {
  std::vector<int64_t> targets;
  for (const int64_t target : {HWY_SSE4, HWY_AVX2, HWY_AVX3, HWY_NEON}) {
    if ((hwy::SupportedTargets() & target) != 0) targets.push_back(target);
  }
  return targets;
}

INSTANTIATE_TEST_SUITE_P(
    All, OptimizerTest,
    testing::Combine(testing::ValuesIn(Targets()), testing::ValuesIn(Cases())),
    [](const testing::TestParamInfo<std::tuple<int64_t, Case>>& parameter) {
      return std::string(hwy::TargetName(std::get<0>(parameter.param))) +
             std::get<1>(parameter.param).name;
    });

void ExpectRefused(const OptimizerOptions& options, const char* message) {
  EXPECT_THAT(ValidateOptimizerOptions(options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
}

TEST(OptimizerOptionsTest, RefusesWhatCannotWork) {
  EXPECT_TRUE(ValidateOptimizerOptions(OptimizerOptions()).ok());
  OptimizerOptions options;
  options.learning_rate = -1;
  ExpectRefused(options, "the learning rate is -1");
  options = OptimizerOptions();
  options.beta2 = 1;
  ExpectRefused(options, "beta2 is 1");
  options = OptimizerOptions();
  options.momentum = std::nan("");
  ExpectRefused(options, "the momentum is nan");
  options = OptimizerOptions();
  options.weight_decay = -0.1;
  ExpectRefused(options, "the weight decay is -0.1");
}

TEST(OptimizerOptionsTest, KeepsNoMomentThatItDoesNotNeed) {
  const ParameterLayout layout(SpecOf(2, 2));
  OptimizerOptions options;
  options.kind = OptimizerKind::kSgd;
  EXPECT_TRUE(Optimizer(layout, options).first_moment().empty());
  EXPECT_TRUE(Optimizer(layout, options).second_moment().empty());
  options.kind = OptimizerKind::kAdagrad;
  EXPECT_TRUE(Optimizer(layout, options).first_moment().empty());
  EXPECT_EQ(Optimizer(layout, options).second_moment().size(), layout.size);
}

}  // namespace
}  // namespace neumf
