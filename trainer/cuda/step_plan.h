#pragma once

// What a device trains: the model and how it learns, as the parts of the CPU's
// trainer take it.

#include <cstdint>

#include "absl/status/status.h"
#include "trainer/model/model_spec.h"
#include "trainer/step/batch_maker.h"
#include "trainer/step/negative_sampler.h"
#include "trainer/step/optimizer.h"
#include "trainer/step/schedule.h"
#include "trainer/step/step_options.h"

namespace neumf {

struct StepPlan {
  ModelSpec spec;
  StepOptions step;
  BatchOptions batches;
  SamplerOptions sampler;
  OptimizerOptions optimizer;
  Schedule schedule;
  uint32_t num_epochs = 0;  // that the schedule is about
};

// UNIMPLEMENTED, naming the setting, for what trainer/cuda does not train: it is
// made for the NCF recipe and its relatives, products and ReLU towers that learn
// from pairs by the log loss.
// REQUIRES: the parts are valid.
absl::Status CheckDeviceTrains(const StepPlan& plan);

}  // namespace neumf
