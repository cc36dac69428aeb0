#pragma once

// Checks a checkpoint file as a server does before it serves it, without one.

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/file_system.h"

namespace neumf {

struct VerifiedCheckpoint {
  std::string digest;
  uint64_t file_bytes = 0;
  size_t num_probes = 0;
};

// Reads all of the file (CheckpointReader has the rules) and recomputes the
// answers that its exporter wrote down. The errors are the reader's; a probe
// that comes out otherwise is FAILED_PRECONDITION and says which.
absl::StatusOr<VerifiedCheckpoint> VerifyCheckpoint(FileSystem& files,
                                                    absl::string_view path);

// The version that the name of the file says. INVALID_ARGUMENT when it is no
// name of a version: a signature is of one.
absl::StatusOr<uint64_t> VersionOfPath(absl::string_view path);

// Verifies the file, and then signs it with the key in the file `key_path`: its
// signature is written, or replaced, beside it. Returns where.
absl::StatusOr<std::string> SignCheckpoint(FileSystem& files,
                                           absl::string_view path,
                                           absl::string_view key_path);

}  // namespace neumf
