#include "tests/trainer/cuda/device_world.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "trainer/random.h"
#include "trainer/step/epoch_order.h"

namespace neumf {
namespace {

// Users 0 and 4 have no event, user 7 all items but two: their negatives are
// found by counting.
constexpr uint32_t kNumEvents[] = {0, 1, 2, 17, 0, 64, 33, 129, 40};

// No user meets its items in the order of their rows.
std::vector<Event> MakeEvents() {
  std::vector<Event> events;
  for (uint32_t user = 0; user < DeviceWorld::kNumUsers; ++user) {
    for (uint32_t n = 0; n < kNumEvents[user]; ++n) {
      Event event;
      event.user = user;
      event.item = (n * 50 + user * 7) % DeviceWorld::kNumItems;
      event.time = n;
      events.push_back(event);
    }
  }
  return events;
}

StepPlan PlanOf(uint32_t factors, bool learned_head,
                std::vector<uint32_t> hidden) {
  StepPlan plan;
  plan.spec.num_users = DeviceWorld::kNumUsers;
  plan.spec.num_items = DeviceWorld::kNumItems;
  plan.spec.factors = factors;
  plan.spec.learned_head = learned_head;
  plan.spec.hidden = std::move(hidden);
  plan.spec.global_bias = true;
  if (plan.spec.has_tower()) {
    plan.spec.user_tower_factors = 5;
    plan.spec.item_tower_factors = 7;
  }
  plan.step.loss.kind = LossKind::kBce;
  plan.batches.batch_size = 100;
  plan.batches.num_negatives = 4;
  plan.batches.seed = 5;
  plan.sampler.seed = 5;
  plan.optimizer.learning_rate = 0.01;
  plan.num_epochs = 3;
  return plan;
}

}  // namespace

StepPlan NcfPlan() {
  StepPlan plan = PlanOf(8, true, {32, 16, 8});
  plan.spec.user_tower_factors = 32;
  plan.spec.item_tower_factors = 32;
  return plan;
}

StepPlan LargePlan() {
  StepPlan plan = PlanOf(16, true, {128, 64});
  plan.spec.user_tower_factors = 128;
  plan.spec.item_tower_factors = 128;
  return plan;
}

std::vector<NamedPlan> AllDevicePlans() {
  std::vector<NamedPlan> plans = {
      {"Ncf", NcfPlan()},
      {"LargeTower", LargePlan()},
      {"Gmf", PlanOf(3, true, {})},
      {"GmfWithoutHead", PlanOf(9, false, {})},
      {"MlpOfOneLayer", PlanOf(0, false, {6})},
      {"MlpOfFourLayers", PlanOf(0, false, {13, 1, 4, 3})},
      {"NeuMf", PlanOf(6, true, {10, 5})},
  };
  const auto add = [&plans](const char* name, auto change) {
    plans.push_back({name, PlanOf(6, true, {10, 5})});
    change(plans.back().plan);
  };
  add("WithoutBias", [](StepPlan& p) { p.spec.global_bias = false; });
  add("SumOverGroups", [](StepPlan& p) { p.step.sum_over_groups = true; });
  add("WeightedNegatives",
      [](StepPlan& p) { p.step.loss.negative_weight = 0.3; });
  add("OneNegative", [](StepPlan& p) { p.batches.num_negatives = 1; });
  // Of few groups: what the CPU adds up in float32 is no truth of many terms.
  add("GroupAsLargeAsATile", [](StepPlan& p) {
    p.batches.num_negatives = 63;
    p.batches.batch_size = 20;
  });
  add("GroupsThatLeaveRoom", [](StepPlan& p) { p.batches.num_negatives = 32; });
  add("SmallBatches", [](StepPlan& p) { p.batches.batch_size = 7; });
  add("UniformNegatives",
      [](StepPlan& p) { p.sampler.kind = SamplerKind::kUniform; });
  return plans;
}

DeviceWorld::DeviceWorld()
    : events_(MakeEvents()),
      train_(kNumUsers, kNumItems, events_),
      sequences_(kNumUsers, events_) {}

DeviceProgress DeviceWorld::RandomStart(const ModelSpec& spec, uint64_t seed) {
  DeviceProgress start;
  start.parameters.resize(ParameterLayout(spec).size);
  Random random(seed);
  for (float& value : start.parameters) {
    value = static_cast<float>(0.3 * random.Normal());
  }
  return start;
}

std::vector<uint32_t> DeviceWorld::OrderOf(const StepPlan& plan,
                                           uint32_t epoch) const {
  std::vector<uint32_t> order(sequences_.num_events());
  std::iota(order.begin(), order.end(), 0U);
  ShuffleForEpoch(plan.batches.seed, epoch, &order);
  return order;
}

CpuTwin::CpuTwin(const DeviceWorld& world, const StepPlan& plan,
                 const DeviceProgress& start)
    : threads_(1, "twin"),
      parameters_(plan.spec),
      item_bags_(plan.spec.num_items, nullptr),
      user_bags_(plan.spec, nullptr, &world.sequences()),
      sampler_(*NegativeSampler::Create(plan.sampler, world.train(), {})),
      maker_(plan.batches, &world.sequences(), plan.spec.num_items, &user_bags_,
             &sampler_),
      step_(&parameters_, &item_bags_, plan.step, &threads_),
      gradient_(parameters_.layout()),
      optimizer_(parameters_.layout(), plan.optimizer) {
  std::copy(start.parameters.begin(), start.parameters.end(),
            parameters_.values().begin());
}

const Batch& CpuTwin::MakeBatch(uint64_t number) {
  maker_.Make(number, &scratch_, &batch_);
  return batch_;
}

void CpuTwin::Update(double scale) {
  optimizer_.Step(gradient_, scale, parameters_.values(), threads_);
}

}  // namespace neumf
