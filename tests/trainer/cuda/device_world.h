#pragma once

// Users with awkward numbers of events, random parameters, and what the CPU makes
// of a plan: the twin that a device's steps are held to.

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "data/interactions.h"
#include "data/item_sequences.h"
#include "trainer/cuda/step_plan.h"
#include "trainer/cuda/training_device.h"
#include "trainer/model/bags.h"
#include "trainer/model/parameters.h"
#include "trainer/step/batch.h"
#include "trainer/step/batch_maker.h"
#include "trainer/step/fused_step.h"
#include "trainer/step/gradient.h"
#include "trainer/step/optimizer.h"

namespace neumf {

struct NamedPlan {
  std::string name;
  StepPlan plan;
};
inline void PrintTo(const NamedPlan& plan, std::ostream* out) {
  *out << plan.name;
}

// Every form of the models and losses that devices train, small.
std::vector<NamedPlan> AllDevicePlans();
// The tower of the NCF recipe with 8 factors.
StepPlan NcfPlan();
// A tower whose weights an H200's shared memory does not hold.
StepPlan LargePlan();

class DeviceWorld {
 public:
  static constexpr uint64_t kNumUsers = 9;
  static constexpr uint64_t kNumItems = 131;

  DeviceWorld();
  DeviceWorld(const DeviceWorld&) = delete;
  DeviceWorld& operator=(const DeviceWorld&) = delete;

  const Interactions& train() const { return train_; }
  const ItemSequences& sequences() const { return sequences_; }
  TrainingSize size() const {
    return {sequences_.num_events(), train_.num_interactions()};
  }

  // N(0, .3), a function of the seed; moments at 0.
  static DeviceProgress RandomStart(const ModelSpec& spec, uint64_t seed);
  // The order of an epoch, as devices take it.
  std::vector<uint32_t> OrderOf(const StepPlan& plan, uint32_t epoch) const;

 private:
  const std::vector<Event> events_;
  const Interactions train_;
  const ItemSequences sequences_;
};

// The CPU's trainer over the same world.
class CpuTwin {
 public:
  CpuTwin(const DeviceWorld& world, const StepPlan& plan,
          const DeviceProgress& start);

  const ParameterLayout& layout() const { return parameters_.layout(); }
  absl::Span<const float> parameters() const { return parameters_.values(); }

  void StartEpoch(uint32_t epoch) { maker_.StartEpoch(epoch); }
  uint64_t num_batches() const { return maker_.num_batches(); }
  const Batch& MakeBatch(uint64_t number);
  // Of the batch that was made; the loss is that of StepOptions.
  double ComputeGradient() { return step_.ComputeGradient(batch_, &gradient_); }
  absl::Span<const float> gradient() const { return gradient_.values(); }
  void Update(double scale);

 private:
  ThreadPool threads_;
  Parameters parameters_;
  const ItemBags item_bags_;
  const UserBags user_bags_;
  const NegativeSampler sampler_;
  BatchMaker maker_;
  FusedStep step_;
  Gradient gradient_;
  Optimizer optimizer_;
  BatchMaker::Scratch scratch_;
  Batch batch_;
};

}  // namespace neumf
