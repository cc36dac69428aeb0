#pragma once

// Version names: `<version>.safetensors`, version a decimal number without a
// leading zero, at most 18 digits. Every other name in a directory is ignored.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/file_system.h"

namespace neumf {

struct CheckpointFile {
  uint64_t version = 0;
  std::string path;
};

std::optional<uint64_t> ParseVersionFileName(absl::string_view name);
std::string VersionFileName(uint64_t version);

// Of a file that is to become a version: begins with a dot, and is nobody
// else's.
std::string TemporaryCheckpointName();
bool IsTemporaryCheckpointName(absl::string_view name);

// Ascending by version; the files are not opened. Fails as ListDirectory does.
absl::StatusOr<std::vector<CheckpointFile>> ListCheckpoints(
    FileSystem& files, absl::string_view directory);

}  // namespace neumf
