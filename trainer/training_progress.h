#pragma once

// How far training is, for whoever watches.

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"

namespace neumf {

// Told after every batch.
struct TrainingProgress {
  uint32_t epoch = 0;  // 1 is the first
  uint32_t num_epochs = 0;
  uint64_t examples_done = 0;   // of this epoch
  uint64_t epoch_examples = 0;  // that there are in one
  double mean_loss = 0;         // a group, of this epoch so far
  absl::Duration elapsed;       // since training began

  bool epoch_done() const { return examples_done >= epoch_examples; }
};
using ProgressCallback = absl::FunctionRef<void(const TrainingProgress&)>;

}  // namespace neumf
