#include "trainer/cuda/step_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "tests/support/status_matchers.h"
#include "tests/trainer/cuda/device_world.h"

namespace neumf {
namespace {

using testing::HasSubstr;

TEST(StepPlanTest, DevicesTrainTheNcfRecipesModels) {
  for (const NamedPlan& named : AllDevicePlans()) {
    NEUMF_EXPECT_OK(CheckDeviceTrains(named.plan)) << named.name;
  }
}

// The NCF plan after `change`.
StepPlan Changed(const std::function<void(StepPlan&)>& change) {
  StepPlan plan = NcfPlan();
  change(plan);
  return plan;
}

struct Refused {
  const char* what;
  std::function<void(StepPlan&)> change;
};

const Refused kRefused[] = {
    {"--similarity cosine", [](StepPlan& p) { p.spec.cosine = true; }},
    {"--linear_width", [](StepPlan& p) { p.spec.linear_width = 4; }},
    {"--activation but relu",
     [](StepPlan& p) { p.spec.activation = Activation::kTanh; }},
    {"--biases item or all", [](StepPlan& p) { p.spec.item_bias = true; }},
    {"--biases item or all", [](StepPlan& p) { p.spec.user_bias = true; }},
    {"features", [](StepPlan& p) { p.spec.num_user_features = 2; }},
    {"features", [](StepPlan& p) { p.spec.num_item_features = 2; }},
    {"--model fm", [](StepPlan& p) { p.spec.feature_interactions = true; }},
    {"--history", [](StepPlan& p) { p.spec.history_length = 3; }},
    {"--loss but bce", [](StepPlan& p) { p.step.loss.kind = LossKind::kBpr; }},
    {"--hard_negatives", [](StepPlan& p) { p.step.loss.hard_negatives = 1; }},
    {"--l2 or --l2_negative", [](StepPlan& p) { p.step.l2 = 1; }},
    {"--l2 or --l2_negative", [](StepPlan& p) { p.step.l2_negative = 1; }},
    {"--dropout", [](StepPlan& p) { p.step.dropout = 0.1; }},
    {"--batches but pairs",
     [](StepPlan& p) { p.batches.form = BatchForm::kUsers; }},
    {"--sampler but reject and uniform",
     [](StepPlan& p) { p.sampler.kind = SamplerKind::kPopularity; }},
    {"--sampler but reject and uniform",
     [](StepPlan& p) { p.sampler.kind = SamplerKind::kPool; }},
    {"--updates rows",
     [](StepPlan& p) { p.optimizer.updates = Updates::kRows; }},
    {"--negatives above 63", [](StepPlan& p) { p.batches.num_negatives = 64; }},
    {"batch of more than",
     [](StepPlan& p) { p.batches.batch_size = 500'000'000; }},
};

TEST(StepPlanTest, NamesWhatDevicesDoNotTrain) {
  for (const Refused& refused : kRefused) {
    EXPECT_THAT(
        CheckDeviceTrains(Changed(refused.change)),
        StatusIs(absl::StatusCode::kUnimplemented, HasSubstr(refused.what)));
  }
}

}  // namespace
}  // namespace neumf
