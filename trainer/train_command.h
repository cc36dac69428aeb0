#pragma once

// `neumf-train train`: reads events, trains the stages of a recipe, measures
// what was held out, publishes a checkpoint.

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/ed25519.h"
#include "base/file_system.h"
#include "trainer/device_choice.h"
#include "trainer/distributed/collective.h"
#include "trainer/distributed/process_place.h"
#include "trainer/recipes.h"
#include "trainer/train_task.h"
#include "trainer/user_precision.h"

namespace neumf {

// One field a flag.
struct TrainOptions {
  TaskOptions task;
  Recipe recipe;  // with the settings that flags changed
  uint64_t seed = 1;
  int threads = 1;
  DeviceChoice device = DeviceChoice::kAuto;
  bool drop_rated = false;      // see HeldOutOptions
  bool whole_lists = false;     // see HeldOutOptions
  uint32_t evaluate_every = 0;  // epochs; 0: after the last one alone
  // Evaluations without a better one before training stops, and the best
  // epoch's model is published; 0: the last epoch's is. Wants
  // --held_out validation.
  uint32_t patience = 0;
  std::string select_by;  // metric that is better when larger; "": the first
  // Directory to keep the states of a run in that is not done, and to go on
  // from; made when missing; empty: none.
  std::string state;
  std::string out;    // directory of checkpoints; made when missing
  uint32_t keep = 0;  // newest versions that stay there; 0: all
  UserPrecision user_precision = UserPrecision::kFloat32;
  std::optional<Ed25519PrivateKey> signing_key;  // of what is published
  std::string metrics_out;                       // JSON file; empty: none
  std::string weights_out;            // of the trained form; empty: none
  std::optional<ProcessPlace> place;  // in a distributed run
};

// Where a command acts. `files` and `clock` must outlive it.
struct CommandEnvironment {
  FileSystem* files = nullptr;
  const Clock* clock = nullptr;
  const std::atomic<bool>* stop = nullptr;  // see TrainingEnvironment
  Collective* collective = nullptr;         // Train() joins it
  DevicesHere devices;                      // that --device chooses from
};

// The path of the published checkpoint; empty in the processes of a distributed
// run that do not lead. Fails before it trains when an output
// cannot be written to. An error after the publishing says
// "published PATH, but ...".
absl::StatusOr<std::string> Train(const TrainOptions& options,
                                  const CommandEnvironment& environment);

}  // namespace neumf
