#pragma once

// `neumf-train import`: weights that were trained in PyTorch, folded and
// published as if they had been trained here. docs/import.md.

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "trainer/train_command.h"
#include "trainer/train_task.h"
#include "trainer/user_precision.h"

namespace neumf {

// One field a flag.
struct ImportOptions {
  std::string weights;  // the safetensors file
  std::string layout;   // of import_weights.h
  // The id that the first row of the tables belongs to; none: the layout's own.
  std::optional<uint64_t> id_base;
  // What the weights were trained on: it says which users and items there are,
  // what they have seen, and what to measure.
  TaskOptions task;
  bool drop_rated = false;   // see HeldOutOptions
  bool whole_lists = false;  // see HeldOutOptions
  int threads = 1;
  std::string out;    // directory of checkpoints; made when missing
  uint32_t keep = 0;  // newest versions that stay there; 0: all
  UserPrecision user_precision = UserPrecision::kFloat32;
  std::optional<Ed25519PrivateKey> signing_key;  // of what is published
  std::string metrics_out;                       // JSON file; empty: none
};

// The path of the published checkpoint. Nothing is published when an id of the
// data has no row in the tables. An error after the publishing says
// "published PATH, but ...".
absl::StatusOr<std::string> Import(const ImportOptions& options,
                                   const CommandEnvironment& environment);

}  // namespace neumf
