#pragma once

// Whom a load asks for.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/file_system.h"

namespace neumf {

// The ids of a file, one a line; at least one. INVALID_ARGUMENT names the file,
// and the line that is not UTF-8.
absl::StatusOr<std::vector<std::string>> ReadUserIds(FileSystem& files,
                                                     absl::string_view path);

}  // namespace neumf
