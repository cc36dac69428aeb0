#pragma once

// What publishing leaves behind, removed: old versions, and the temporary files
// of publishers that were killed.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/file_system.h"

namespace neumf {

// Removes all but the newest `keep` versions, with their signatures, and returns
// those removed, ascending. A version that serving.json names stays and is none
// of the `keep`: one that is refused is nothing to fall back on. Fails, having
// removed nothing, when serving.json cannot be read. REQUIRES: keep > 0.
absl::StatusOr<std::vector<uint64_t>> PruneCheckpoints(
    FileSystem& files, absl::string_view directory, size_t keep);

// Removes temporary files that nobody has written to for an hour: their
// publisher was killed. Does what it can, and says nothing when it cannot.
// `just_made`, a file of `directory`, tells the time: that of the disk, whose
// clock may be another machine's.
void RemoveAbandonedCheckpoints(FileSystem& files, absl::string_view directory,
                                absl::string_view just_made);

}  // namespace neumf
