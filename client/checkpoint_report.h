#pragma once

// What a checkpoint says about itself, for people.

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/file_system.h"

namespace neumf {

// Kind, sizes, a table of the tensors, training, metrics, probes and the first
// ids. Reads the header, the network's weights and those ids; the errors are
// CheckpointReader::Open()'s. No digest of other tensors is checked.
absl::StatusOr<std::string> DescribeCheckpoint(FileSystem& files,
                                               absl::string_view path);

}  // namespace neumf
