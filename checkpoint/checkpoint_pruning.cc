#include "checkpoint/checkpoint_pruning.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint_directory.h"
#include "checkpoint/checkpoint_signature.h"
#include "checkpoint/publisher_lock.h"
#include "checkpoint/serving_policy.h"

namespace neumf {
namespace {

constexpr int64_t kAbandonedNanos = int64_t{3'600} * 1'000'000'000;

absl::Status TryToRemoveAbandoned(FileSystem& files,
                                  absl::string_view directory,
                                  absl::string_view just_made) {
  NEUMF_ASSIGN_OR_RETURN(const FileInfo now, files.Stat(just_made));
  NEUMF_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                         files.ListDirectory(directory));
  for (const std::string& name : names) {
    if (!IsTemporaryCheckpointName(name)) continue;
    const std::string path = JoinPath(directory, name);
    const absl::StatusOr<FileInfo> info = files.Stat(path);
    if (!info.ok() || !info->is_regular) continue;
    if (info->modified_nanos > now.modified_nanos - kAbandonedNanos) continue;
    files.Remove(path).IgnoreError();
  }
  return absl::OkStatus();
}

// The versions that may be removed, but for their age.
absl::StatusOr<std::vector<CheckpointFile>> ListUnnamedVersions(
    FileSystem& files, absl::string_view directory) {
  NEUMF_ASSIGN_OR_RETURN(const ServingPolicy policy,
                         ReadServingPolicy(files, directory));
  NEUMF_ASSIGN_OR_RETURN(std::vector<CheckpointFile> checkpoints,
                         ListCheckpoints(files, directory));
  const auto stays = [&](const CheckpointFile& checkpoint) {
    const absl::StatusOr<FileInfo> info = files.Stat(checkpoint.path);
    return !info.ok() || !info->is_regular ||
           policy.pinned == checkpoint.version ||
           policy.Refuses(checkpoint.version);
  };
  checkpoints.erase(
      std::remove_if(checkpoints.begin(), checkpoints.end(), stays),
      checkpoints.end());
  return checkpoints;
}

// Those of versions that are not there, below the newest: of the versions that
// were removed, now or by somebody who was killed then. A larger one may be of a
// version that is about to be there.
absl::Status RemoveLoneSignatures(FileSystem& files,
                                  absl::string_view directory) {
  NEUMF_ASSIGN_OR_RETURN(const std::vector<CheckpointFile> checkpoints,
                         ListCheckpoints(files, directory));
  std::set<uint64_t> versions;
  for (const CheckpointFile& checkpoint : checkpoints) {
    versions.insert(checkpoint.version);
  }
  NEUMF_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                         files.ListDirectory(directory));
  for (const std::string& name : names) {
    absl::string_view checkpoint_name = name;
    if (!absl::ConsumeSuffix(&checkpoint_name, SignaturePath(""))) continue;
    const std::optional<uint64_t> version =
        ParseVersionFileName(checkpoint_name);
    if (!version.has_value() || versions.empty() ||
        *version > *versions.rbegin() || versions.count(*version) > 0) {
      continue;
    }
    NEUMF_RETURN_IF_ERROR(files.Remove(JoinPath(directory, name)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<uint64_t>> PruneCheckpoints(
    FileSystem& files, absl::string_view directory, size_t keep) {
  const PublisherLock lock(directory);
  NEUMF_ASSIGN_OR_RETURN(std::vector<CheckpointFile> checkpoints,
                         ListUnnamedVersions(files, directory));
  checkpoints.resize(checkpoints.size() - std::min(checkpoints.size(), keep));
  std::vector<uint64_t> removed;
  for (const CheckpointFile& checkpoint : checkpoints) {
    NEUMF_RETURN_IF_ERROR(files.Remove(checkpoint.path));
    removed.push_back(checkpoint.version);
  }
  NEUMF_RETURN_IF_ERROR(RemoveLoneSignatures(files, directory));
  return removed;
}

void RemoveAbandonedCheckpoints(FileSystem& files, absl::string_view directory,
                                absl::string_view just_made) {
  TryToRemoveAbandoned(files, directory, just_made).IgnoreError();
}

}  // namespace neumf
