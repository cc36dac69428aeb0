#pragma once

// `neumf-train evaluate`: the metrics of a published checkpoint, scored by the
// code that serves it.

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
  std::string protocol = "d2l";
  std::string split = "test";  // or "validation"
  int threads = 1;
  std::string metrics_out;  // JSON file; empty: none
};

absl::StatusOr<nlohmann::json> Evaluate(const EvaluateOptions& options,
                                        FileSystem& files);

}  // namespace neumf
