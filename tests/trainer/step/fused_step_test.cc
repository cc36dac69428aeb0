#include "trainer/step/fused_step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/thread_pool.h"
#include "tests/trainer/step/step_world.h"
#include "trainer/model/torch_model.h"

namespace neumf {
namespace {

struct Step {
  explicit Step(const ParameterLayout& layout) : gradient(layout) {}

  double loss = 0;
  Gradient gradient;
};

Step RunFused(StepWorld& world, const Batch& batch, const StepOptions& options,
              size_t num_threads = 1) {
  ThreadPool threads(num_threads, "step");
  FusedStep fused(&world.parameters(), &world.items(), options, &threads);
  Step step(world.parameters().layout());
  step.loss = fused.ComputeGradient(batch, &step.gradient);
  return step;
}

Step RunTorch(StepWorld& world, const Batch& batch,
              const StepOptions& options) {
  TorchModel torch(&world.parameters(), &world.items());
  Step step(world.parameters().layout());
  step.loss = torch.ComputeGradient(batch, options, &step.gradient);
  return step;
}

float LargestOf(absl::Span<const float> values) {
  float largest = 0;
  for (const float value : values) {
    largest = std::max(largest, std::abs(value));
  }
  return largest;
}

std::vector<uint32_t> SortedRows(const Gradient& gradient, size_t table) {
  const absl::Span<const uint32_t> touched = gradient.touched(table);
  std::vector<uint32_t> rows(touched.begin(), touched.end());
  std::sort(rows.begin(), rows.end());
  return rows;
}

// Losses, the touched rows and every component of the gradients, those up to
// `tolerance` of the largest.
void ExpectSameSteps(const Parameters& parameters, const Step& actual,
                     const Step& expected, double tolerance) {
  EXPECT_NEAR(actual.loss, expected.loss,
              tolerance * (std::abs(expected.loss) + 1e-3));
  for (size_t t = 0; t < expected.gradient.num_tables(); ++t) {
    EXPECT_EQ(SortedRows(actual.gradient, t), SortedRows(expected.gradient, t))
        << expected.gradient.table(t).name;
  }
  const absl::Span<const float> values = actual.gradient.values();
  const absl::Span<const float> wanted = expected.gradient.values();
  const float limit =
      static_cast<float>(tolerance) * LargestOf(wanted) + 1e-12F;
  for (const ParameterBlock* block : parameters.layout().Blocks()) {
    for (size_t i = block->offset; i < block->offset + block->size(); ++i) {
      ASSERT_NEAR(values[i], wanted[i], limit)
          << block->name << " row " << (i - block->offset) / block->cols
          << " column " << (i - block->offset) % block->cols;
    }
  }
}

bool SameBits(const Step& a, const Step& b) {
  return a.loss == b.loss &&
         std::equal(a.gradient.values().begin(), a.gradient.values().end(),
                    b.gradient.values().begin());
}

struct NamedOptions {
  std::string name;
  StepOptions options;
};

LossOptions LossOf(LossKind kind) {
  LossOptions loss;
  loss.kind = kind;
  loss.num_items = StepWorld::kNumItems;
  loss.margin = 0.5;
  loss.temperature = 0.7;
  loss.negative_weight = 0.6;
  return loss;
}

// Every loss of pairs, by sum and mean, with and without penalties.
std::vector<NamedOptions> PairOptions(absl::Span<const float> log_q) {
  std::vector<NamedOptions> all;
  const auto add = [&](const std::string& name, const StepOptions& options) {
    all.push_back({name, options});
  };
  for (const LossKind kind :
       {LossKind::kBpr, LossKind::kHinge, LossKind::kBce, LossKind::kGbce,
        LossKind::kSquare, LossKind::kSoftmax, LossKind::kWarp,
        LossKind::kCcl}) {
    StepOptions options;
    options.loss = LossOf(kind);
    add(LossKindName(kind), options);
    options.sum_over_groups = true;
    options.l2 = 0.3;
    options.l2_negative = 0.1;
    add(absl::StrCat(LossKindName(kind), " l2 sum"), options);
    options.sum_over_groups = false;
    options.log_q = log_q;
    add(absl::StrCat(LossKindName(kind), " l2 logQ"), options);
    if (kind == LossKind::kWarp) continue;
    options.l2_negative = 0;
    options.loss.hard_negatives = 2;
    add(absl::StrCat(LossKindName(kind), " l2 hard"), options);
  }
  return all;
}

std::vector<NamedOptions> CatalogOptions() {
  std::vector<NamedOptions> all;
  for (const LossKind kind :
       {LossKind::kSoftmax, LossKind::kBce, LossKind::kSquare}) {
    StepOptions options;
    options.loss = LossOf(kind);
    all.push_back({LossKindName(kind), options});
    options.sum_over_groups = true;
    all.push_back({absl::StrCat(LossKindName(kind), " sum"), options});
    options.l2 = 0.3;
    options.l2_negative = 0.1;
    all.push_back({absl::StrCat(LossKindName(kind), " l2 sum"), options});
    options.sum_over_groups = false;
    all.push_back({absl::StrCat(LossKindName(kind), " l2"), options});
  }
  return all;
}

class FusedStepShapeTest : public testing::TestWithParam<NamedSpec> {
 protected:
  void ExpectEqualsTorch(StepWorld& world, const Batch& batch,
                         const NamedOptions& named, size_t num_threads = 1) {
    SCOPED_TRACE(named.name);
    ExpectSameSteps(world.parameters(),
                    RunFused(world, batch, named.options, num_threads),
                    RunTorch(world, batch, named.options), 1e-4);
  }
};

TEST_P(FusedStepShapeTest, PairsEqualAutograd) {
  StepWorld world(GetParam(), 1);
  const std::vector<float> log_q = world.MakeLogQ();
  const Batch batch = world.MakePairs(11, 4);
  for (const NamedOptions& named : PairOptions(log_q)) {
    ExpectEqualsTorch(world, batch, named);
  }
}

TEST_P(FusedStepShapeTest, GroupsOfAnySizeEqualAutograd) {
  StepWorld world(GetParam(), 2);
  StepOptions options;
  options.loss = LossOf(LossKind::kBce);
  options.l2 = 0.1;
  // Less than a chunk, several chunks, and groups larger than one.
  const struct {
    uint32_t num_groups, num_negatives;
  } kSizes[] = {{1, 1}, {7, 1}, {3000, 1}, {1, 4},    {1300, 4},
                {1, 0}, {5, 0}, {60, 100}, {1, 3000}, {3, 3000}};
  for (const auto& size : kSizes) {
    const Batch batch = world.MakePairs(size.num_groups, size.num_negatives);
    ExpectEqualsTorch(
        world, batch,
        {absl::StrCat(size.num_groups, " x 1 + ", size.num_negatives), options},
        2);
  }
}

TEST_P(FusedStepShapeTest, CatalogsEqualAutograd) {
  StepWorld world(GetParam(), 3);
  for (const uint32_t num_candidates : {StepWorld::kNumItems, 17U, 1U}) {
    SCOPED_TRACE(absl::StrCat(num_candidates, " candidates"));
    const Batch batch = world.MakeCatalog(9, num_candidates);
    for (const NamedOptions& named : CatalogOptions()) {
      ExpectEqualsTorch(world, batch, named);
    }
  }
}

TEST_P(FusedStepShapeTest, ThreadsDifferByRoundingOnly) {
  StepWorld world(GetParam(), 4);
  StepOptions options;
  options.loss = LossOf(LossKind::kSoftmax);
  options.l2 = 0.2;
  options.dropout = 0.3;
  // Large enough for all threads, and too small for more than one.
  const uint32_t many = GetParam().spec.has_tower() ? 1500 : 7000;
  for (Batch batch : {world.MakePairs(1300, 3), world.MakeCatalog(many, 29),
                      world.MakePairs(1, 3), world.MakeCatalog(2, 29)}) {
    batch.dropout_seed = 5;
    const Step alone = RunFused(world, batch, options, 1);
    for (const size_t num_threads : {1, 2, 3}) {
      SCOPED_TRACE(absl::StrCat(num_threads, " threads"));
      const Step step = RunFused(world, batch, options, num_threads);
      // Among so many hidden values some are so close to 0 that rounding
      // decides whether a relu lets them through.
      ExpectSameSteps(world.parameters(), step, alone, 5e-4);
      EXPECT_TRUE(SameBits(step, RunFused(world, batch, options, num_threads)));
    }
  }
}

TEST_P(FusedStepShapeTest, BatchesFollowOneAnother) {
  StepWorld world(GetParam(), 5);
  StepOptions options;
  options.loss = LossOf(LossKind::kBce);
  ThreadPool threads(2, "step");
  FusedStep fused(&world.parameters(), &world.items(), options, &threads);
  Step step(world.parameters().layout());
  for (const Batch& batch : {world.MakePairs(900, 4), world.MakeCatalog(5, 29),
                             world.MakePairs(3, 2), world.MakeCatalog(2100, 29),
                             world.MakeCatalog(7, 8), world.MakePairs(9, 7)}) {
    step.loss = fused.ComputeGradient(batch, &step.gradient);
    ExpectSameSteps(world.parameters(), step, RunTorch(world, batch, options),
                    1e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(AllShapes, FusedStepShapeTest,
                         testing::ValuesIn(AllShapes()),
                         [](const testing::TestParamInfo<NamedSpec>& shape) {
                           return shape.param.name;
                         });

// And of pairs: over a catalog no Q says how an item came to be a candidate.
TEST(FusedStepTest, TakesLogQOffForSoftmaxAlone) {
  StepWorld world(ShapeNamed("Mf"), 6);
  const std::vector<float> log_q = world.MakeLogQ();
  for (const Batch& batch : {world.MakeCatalog(9, 21), world.MakePairs(9, 4)}) {
    for (const LossKind kind :
         {LossKind::kBce, LossKind::kSquare, LossKind::kSoftmax}) {
      if (batch.is_pairs() && kind == LossKind::kSoftmax) continue;
      StepOptions options;
      options.loss = LossOf(kind);
      const Step without = RunFused(world, batch, options);
      options.log_q = log_q;
      EXPECT_TRUE(SameBits(RunFused(world, batch, options), without));
    }
  }
}

// Random masks make another function of the parameters; its gradient is what
// central differences say, if forward and backward drop the same.
class DropoutTest : public testing::TestWithParam<const char*> {
 protected:
  static void ExpectGradientOfLoss(StepWorld& world, const Batch& batch) {
    StepOptions options;
    options.loss = LossOf(LossKind::kSoftmax);
    options.dropout = 0.4;
    const Step step = RunFused(world, batch, options);
    const float limit = 5e-3F * LargestOf(step.gradient.values());
    const absl::Span<float> values = world.parameters().values();
    constexpr float kStep = 0.01F;
    for (size_t i = 0; i < values.size(); ++i) {
      const float value = values[i];
      values[i] = value + kStep;
      const double above = RunFused(world, batch, options).loss;
      values[i] = value - kStep;
      const double below = RunFused(world, batch, options).loss;
      values[i] = value;
      ASSERT_NEAR((above - below) / (2 * double{kStep}),
                  double{step.gradient.values()[i]}, double{limit})
          << "parameter " << i;
    }
  }
};

TEST_P(DropoutTest, GradientIsThatOfTheLossItDropsFrom) {
  StepWorld world(ShapeNamed(GetParam()), 7);
  for (Batch batch : {world.MakePairs(9, 4), world.MakeCatalog(6, 17)}) {
    batch.dropout_seed = 77;
    ExpectGradientOfLoss(world, batch);
  }
}

INSTANTIATE_TEST_SUITE_P(Smooth, DropoutTest,
                         testing::Values("NeumfTanh", "NeumfSigmoid",
                                         "OneLayerHistory",
                                         "EverythingHistory"));

TEST(FusedStepTest, DropsByTheSeed) {
  StepWorld world(ShapeNamed("NeumfTanh"), 8);
  Batch batch = world.MakePairs(50, 4);
  StepOptions options;
  options.loss = LossOf(LossKind::kBce);
  const double whole = RunFused(world, batch, options).loss;
  options.dropout = 0.5;
  batch.dropout_seed = 1;
  const double first = RunFused(world, batch, options).loss;
  batch.dropout_seed = 2;
  const double second = RunFused(world, batch, options).loss;
  EXPECT_NE(first, whole);
  EXPECT_NE(first, second);
}

}  // namespace
}  // namespace neumf
