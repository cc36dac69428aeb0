#pragma once

// `neumf-train compare`: whether one checkpoint is better than another, from
// the values of every user that `evaluate --per_user_out` wrote of both.

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "nlohmann/json.hpp"

namespace neumf {

// One field a flag.
struct CompareOptions {
  std::string a;  // files of PerUserCsv()
  std::string b;
  uint64_t seed = 1;  // of the resamples
};

// For each metric that both files have: the two means, and the difference a - b
// with its 95 % interval and p-value by a paired bootstrap (eval/bootstrap.h).
// INVALID_ARGUMENT when a file is not as it should be, when the two have
// different users, in whatever order, or no metric in common.
absl::StatusOr<nlohmann::json> Compare(const CompareOptions& options,
                                       FileSystem& files);

}  // namespace neumf
