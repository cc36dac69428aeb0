// Measures how fast the first GPU trains, in examples a second, and prints one
// JSON object a model: the NCF recipe's with 8 factors, and NVIDIA's NCF with 64
// and a tower 256-128-64, in batches of 1M examples, a positive and four
// negatives being five. Ids are random, in the numbers of MovieLens 20M. A
// window is an epoch, negatives drawn; the first warms up, the median of the
// others counts.
//
// It needs no LibTorch, so that it runs where only programs can be carried. It
// lies here and not in bench/ because programs do not include each other. The
// status is 77 without a GPU.

#include <algorithm>
#include <chrono>
#include <iostream>
#include <numeric>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "base/status_macros.h"
#include "data/interactions.h"
#include "data/item_sequences.h"
#include "nlohmann/json.hpp"
#include "trainer/cuda/training_device.h"
#include "trainer/model/parameters.h"
#include "trainer/random.h"

ABSL_FLAG(bool, quick, false, "Fewer windows, of the smaller model alone.");

namespace neumf {
namespace {

constexpr uint64_t kSeed = 1;
constexpr uint64_t kUsers = 138'493;
constexpr uint64_t kItems = 26'744;
constexpr uint64_t kEvents = 20'000'000;
constexpr uint32_t kNegatives = 4;
constexpr uint32_t kBatchExamples = 1 << 20;

// As many distinct items for every user, up to one.
std::vector<Event> MakeEvents() {
  std::vector<Event> events;
  events.reserve(kEvents);
  Random random(kSeed);
  std::vector<uint32_t> items(kItems);
  std::iota(items.begin(), items.end(), 0);
  for (uint32_t user = 0; user < kUsers; ++user) {
    const uint64_t count =
        (user + 1) * kEvents / kUsers - user * kEvents / kUsers;
    for (uint32_t i = 0; i < count; ++i) {
      std::swap(items[i],
                items[i + random.Below(static_cast<uint32_t>(kItems) - i)]);
      Event event;
      event.user = user;
      event.item = items[i];
      event.time = i;
      events.push_back(event);
    }
  }
  return events;
}

// NeuMF that learns from pairs by the log loss with Adam.
StepPlan PlanOf(uint32_t factors, uint32_t tower_factors,
                const std::vector<uint32_t>& hidden) {
  StepPlan plan;
  plan.spec.num_users = kUsers;
  plan.spec.num_items = kItems;
  plan.spec.factors = factors;
  plan.spec.learned_head = true;
  plan.spec.user_tower_factors = tower_factors;
  plan.spec.item_tower_factors = tower_factors;
  plan.spec.hidden = hidden;
  plan.spec.global_bias = true;
  plan.step.loss.kind = LossKind::kBce;
  plan.batches.batch_size = kBatchExamples / (1 + kNegatives);
  plan.batches.num_negatives = kNegatives;
  plan.batches.seed = kSeed;
  plan.sampler.seed = kSeed;
  plan.num_epochs = 100;
  return plan;
}

DeviceProgress StartOf(const ModelSpec& spec) {
  DeviceProgress start;
  start.parameters.resize(ParameterLayout(spec).size);
  Random random(kSeed);
  for (float& value : start.parameters) {
    value = static_cast<float>(0.05 * random.Normal());
  }
  return start;
}

class Bench {
 public:
  explicit Bench(TrainingDevice& device)
      : device_(device),
        events_(MakeEvents()),
        train_(kUsers, kItems, events_),
        sequences_(kUsers, events_) {}

  absl::Status Measure(const char* name, const StepPlan& plan,
                       uint32_t num_windows) {
    NEUMF_RETURN_IF_ERROR(device_.Check(
        plan, {sequences_.num_events(), train_.num_interactions()}));
    const DeviceProgress start = StartOf(plan.spec);
    NEUMF_ASSIGN_OR_RETURN(const auto training,
                           device_.Start(plan, train_, sequences_, start));
    std::vector<double> rates;
    double loss = 0;
    for (uint32_t epoch = 1; epoch <= 1 + num_windows; ++epoch) {
      const auto began = std::chrono::steady_clock::now();
      NEUMF_ASSIGN_OR_RETURN(
          loss, training->TrainEpoch(epoch, [](uint64_t, uint64_t, double) {}));
      const std::chrono::duration<double> taken =
          std::chrono::steady_clock::now() - began;
      if (epoch > 1) {
        rates.push_back(kEvents * (1 + kNegatives) / taken.count());
      }
    }
    std::sort(rates.begin(), rates.end());
    const nlohmann::ordered_json figure = {
        {"name", std::string("gpu.train.") + name + ".examples_per_second"},
        {"value", rates[rates.size() / 2]},
        {"unit", "examples/s"},
        {"lowest", rates.front()},
        {"highest", rates.back()},
        {"batch_examples", plan.batches.batch_size * (1 + kNegatives)},
        {"parameters", start.parameters.size()},
        {"loss", loss},
        {"gpu", device_.name()}};
    std::cout << figure.dump() << std::endl;
    return absl::OkStatus();
  }

 private:
  TrainingDevice& device_;
  const std::vector<Event> events_;
  const Interactions train_;
  const ItemSequences sequences_;
};

absl::Status MeasureAll(TrainingDevice& device) {
  const bool quick = absl::GetFlag(FLAGS_quick);
  Bench bench(device);
  NEUMF_RETURN_IF_ERROR(
      bench.Measure("ncf8", PlanOf(8, 32, {32, 16, 8}), quick ? 2 : 5));
  if (quick) return absl::OkStatus();
  return bench.Measure("ncf64", PlanOf(64, 128, {256, 128, 64}), 3);
}

int Main() {
  const auto device = OpenTrainingDevice();
  if (!device.ok()) {
    std::cerr << device.status().message() << std::endl;
    return 77;
  }
  const absl::Status status = MeasureAll(**device);
  if (status.ok()) return 0;
  std::cerr << status.message() << std::endl;
  return 1;
}

}  // namespace
}  // namespace neumf

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("measures training on a GPU");
  absl::ParseCommandLine(argc, argv);
  return neumf::Main();
}
