#pragma once

// What a command leaves behind: checked before the work, written after it.
// Nobody wants to hear after an hour of training that a disk is read-only.

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/file_system.h"
#include "nlohmann/json.hpp"

namespace neumf {

// Makes `directory` when it is missing, and a small file in it for a moment.
absl::Status CheckCheckpointDirectory(FileSystem& files,
                                      absl::string_view directory);

// The same for another flag.
absl::Status CheckOutputDirectory(FileSystem& files, absl::string_view flag,
                                  absl::string_view directory);

// OK when `path` is empty, or when it can become a regular file: one that is
// there will be replaced, anything else that is there is refused, and its
// directory must exist. `flag` names the path in the error.
absl::Status CheckOutputFile(FileSystem& files, absl::string_view flag,
                             absl::string_view path);

// The same for --metrics_out.
absl::Status CheckMetricsFile(FileSystem& files, absl::string_view path);

// Does nothing when `path` is empty.
absl::Status WriteMetricsFile(FileSystem& files, absl::string_view path,
                              const nlohmann::json& metrics);

// Removes all versions but the newest `keep`, and says on stderr which; 0 keeps
// all. See PruneCheckpoints(). `published` is what was published just now: the
// error says that it was.
absl::Status RemoveOldVersions(FileSystem& files, absl::string_view directory,
                               uint32_t keep, absl::string_view published);

// JSON in lines. What is not UTF-8, as a file's name may be, is replaced.
std::string MetricsText(const nlohmann::json& metrics);

}  // namespace neumf
