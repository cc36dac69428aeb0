#pragma once

// The trained numbers of a model, not folded, in a file: what another training
// run starts from, and what says exactly which model it is. A tensor a block by
// its name (model/parameters.h), F32, [rows, cols], and the spec as JSON.

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/file_system.h"
#include "nlohmann/json.hpp"
#include "trainer/model/parameters.h"

namespace neumf {

struct WeightsFile {
  Parameters parameters;
  nlohmann::json about;  // an object: what the writer said of them
};

// Replaces `path` at once or not at all. REQUIRES: about.is_object().
absl::Status WriteWeights(FileSystem& files, absl::string_view path,
                          const Parameters& parameters,
                          const nlohmann::json& about);

// Errors name the file and the reason. INVALID_ARGUMENT: a safetensors file, but
// not of weights. DATA_LOSS: damaged, or at odds with itself.
absl::StatusOr<WeightsFile> ReadWeights(FileSystem& files,
                                        absl::string_view path);

}  // namespace neumf
