#pragma once

// `neumf-train evaluate`: the metrics of a published checkpoint, scored by the
// code that serves it. What is held out, and what was trained on, comes from
// the data and its split, never from what the checkpoint says was seen. Where
// that is not the split which the checkpoint was trained on, as its manifest has
// it, a warning and the metrics say so: it may have learned what is held out.

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "data/split.h"
#include "nlohmann/json.hpp"
#include "trainer/data_source.h"

namespace neumf {

// One field a flag.
struct EvaluateOptions {
  std::string checkpoint;  // the file
  DataSource data;
  // "d2l", "ncf", "triplet" or "full"; empty: what goes with the data's format.
  std::string protocol;
  std::string split = "test";  // or "validation"
  // The kind of split that training had; empty: the protocol's own. d2l holds
  // out what the split of that name does, the others what the data set itself
  // holds out.
  std::string split_kind;
  // SplitOptions as they were in training.
  uint64_t split_seed = SplitOptions().seed;
  double split_ratio = SplitOptions().ratio;
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
