#pragma once

// Checks a checkpoint file as a server does before it serves it, without one.

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/file_system.h"

namespace neumf {

struct VerifiedCheckpoint {
  uint64_t file_bytes = 0;
  size_t num_probes = 0;
};

// Reads all of the file (CheckpointReader has the rules) and recomputes the
// answers that its exporter wrote down. The errors are the reader's; a probe
// that comes out otherwise is FAILED_PRECONDITION and says which.
absl::StatusOr<VerifiedCheckpoint> VerifyCheckpoint(FileSystem& files,
                                                    absl::string_view path);

}  // namespace neumf
