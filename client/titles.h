#pragma once

// What people call the items: a UTF-8 CSV file of `item_id,title`.

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/file_system.h"

namespace neumf {

using Titles = absl::flat_hash_map<std::string, std::string>;

// Quoting as in RFC 4180; a header line `item_id,title` is skipped, and the
// first title of an item counts. INVALID_ARGUMENT names the line that is wrong.
absl::StatusOr<Titles> ReadTitles(FileSystem& files, absl::string_view path);

}  // namespace neumf
