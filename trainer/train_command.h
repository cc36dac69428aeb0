#pragma once

// `neumf-train train`: reads events, trains, evaluates what was held out,
// publishes a checkpoint.

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "trainer/data_source.h"
#include "trainer/recipes.h"
#include "trainer/training_loop.h"

namespace neumf {

// One field a flag.
struct TrainOptions {
  DataSource data;
  Recipe recipe;  // with the settings that flags changed
  std::string split = "d2l";
  std::string held_out = "test";  // what the split holds out
  uint64_t seed = 1;
  int threads = 1;
  std::string out;          // directory of checkpoints; made when missing
  std::string metrics_out;  // JSON file; empty: none
};

// Where a command acts. `files` and `clock` must outlive it.
struct CommandEnvironment {
  FileSystem* files = nullptr;
  const Clock* clock = nullptr;
  const std::atomic<bool>* stop = nullptr;  // see TrainingEnvironment
};

// The path of the published checkpoint. Fails before it trains when `out` or
// `metrics_out` cannot be written to. An error after the publishing says
// "published PATH, but ...".
absl::StatusOr<std::string> Train(const TrainOptions& options,
                                  const CommandEnvironment& environment);

}  // namespace neumf
