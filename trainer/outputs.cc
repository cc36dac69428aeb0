#include "trainer/outputs.h"

#include <cstdio>
#include <random>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint_pruning.h"

namespace neumf {
namespace {

// A full disk still makes files, but none with a block in it.
constexpr size_t kBlockBytes = 4096;

absl::Status TryToWrite(FileSystem& files, absl::string_view directory) {
  std::random_device random;
  const std::string path =
      JoinPath(directory, absl::StrCat(".writable-", absl::Hex(random())));
  NEUMF_ASSIGN_OR_RETURN(const auto file, files.CreateNew(path));
  // What killed publishers have left may be what fills the disk.
  RemoveAbandonedCheckpoints(files, directory, path);
  absl::Status written = file->Append(std::string(kBlockBytes, ' '));
  if (written.ok()) written = file->Close();
  const absl::Status removed = files.Remove(path);
  return written.ok() ? removed : written;
}

absl::Status CheckReplaceable(FileSystem& files, absl::string_view path) {
  const absl::StatusOr<FileInfo> target = files.Stat(path);
  if (!target.ok()) {
    return absl::IsNotFound(target.status()) ? absl::OkStatus()
                                             : target.status();
  }
  if (target->is_regular) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(path, " is there and is not a regular file"));
}

}  // namespace

absl::Status CheckCheckpointDirectory(FileSystem& files,
                                      absl::string_view directory) {
  return CheckOutputDirectory(files, "--out", directory);
}

absl::Status CheckOutputDirectory(FileSystem& files, absl::string_view flag,
                                  absl::string_view directory) {
  absl::Status status = files.CreateDirectories(directory);
  if (status.ok()) status = TryToWrite(files, directory);
  return Annotate(status, absl::StrCat("cannot write to ", flag));
}

absl::Status CheckOutputFile(FileSystem& files, absl::string_view flag,
                             absl::string_view path) {
  if (path.empty()) return absl::OkStatus();
  absl::Status status = CheckReplaceable(files, path);
  if (status.ok()) status = files.Stat(DirectoryOf(path)).status();
  if (status.ok()) status = TryToWrite(files, DirectoryOf(path));
  return Annotate(status, absl::StrCat("cannot write ", flag));
}

absl::Status CheckMetricsFile(FileSystem& files, absl::string_view path) {
  return CheckOutputFile(files, "--metrics_out", path);
}

absl::Status WriteMetricsFile(FileSystem& files, absl::string_view path,
                              const nlohmann::json& metrics) {
  if (path.empty()) return absl::OkStatus();
  return Annotate(WriteFileAtomically(files, path, MetricsText(metrics)),
                  "cannot write --metrics_out");
}

absl::Status RemoveOldVersions(FileSystem& files, absl::string_view directory,
                               uint32_t keep, absl::string_view published) {
  if (keep == 0) return absl::OkStatus();
  const absl::StatusOr<std::vector<uint64_t>> removed =
      PruneCheckpoints(files, directory, keep);
  if (!removed.ok()) {
    return Annotate(removed.status(), absl::StrCat("published ", published,
                                                   ", but --keep failed"));
  }
  if (!removed->empty()) {
    absl::FPrintF(stderr, "removed versions %s\n",
                  absl::StrJoin(*removed, ", "));
  }
  return absl::OkStatus();
}

std::string MetricsText(const nlohmann::json& metrics) {
  const std::string text = metrics.dump(
      2, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
  return absl::StrCat(text, "\n");
}

}  // namespace neumf
