#pragma once

// `neumf-train evaluate`: the metrics of a published checkpoint, scored by the
// code that serves it. What is held out, and what was trained on, comes from
// the data and its split, never from what the checkpoint says was seen.

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "nlohmann/json.hpp"
#include "trainer/data_source.h"

namespace neumf {

// One field a flag.
struct EvaluateOptions {
  std::string checkpoint;  // the file
  DataSource data;
  // "d2l", "ncf", "triplet" or "full". d2l holds out what the split of that
  // name does, the others what the data set itself holds out.
  std::string protocol = "d2l";
  std::string split = "test";  // or "validation"
  // Of the split, as it was in training: of what validation draws.
  uint64_t split_seed = 0;
  // Events rated lower are no positives. Default: 4 for the protocol triplet,
  // none for the others.
  std::optional<float> min_rating;
  bool drop_rated = false;   // see HeldOutOptions
  bool whole_lists = false;  // see HeldOutOptions
  int threads = 1;
  std::string metrics_out;   // JSON file; empty: none
  std::string per_user_out;  // CSV file, see PerUserCsv(); empty: none
};

absl::StatusOr<nlohmann::json> Evaluate(const EvaluateOptions& options,
                                        FileSystem& files);

}  // namespace neumf
