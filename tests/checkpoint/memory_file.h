#pragma once

// A FileSystem with one file, in memory: for tests that read thousands of
// damaged checkpoints, and to cut a file while it is read.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/file_system.h"

namespace neumf {

// Every path is that of the file. It can be opened and, while it is empty,
// made; all else is UNIMPLEMENTED. Must outlive the files that it opens.
class MemoryFile : public FileSystem {
 public:
  MemoryFile() = default;
  explicit MemoryFile(std::string bytes) : bytes_(std::move(bytes)) {}

  const std::string& bytes() const { return bytes_; }

  // The file says its full size, but reading finds only the first `num_bytes`.
  void CutTo(size_t num_bytes);

  absl::StatusOr<std::unique_ptr<ReadableFile>> OpenForRead(
      absl::string_view path) override;
  absl::StatusOr<std::unique_ptr<WritableFile>> CreateNew(
      absl::string_view path) override;
  absl::Status RenameNoReplace(absl::string_view from,
                               absl::string_view to) override;
  absl::Status Rename(absl::string_view from, absl::string_view to) override;
  absl::Status Remove(absl::string_view path) override;
  absl::Status SyncDirectory(absl::string_view directory) override;
  absl::StatusOr<std::vector<std::string>> ListDirectory(
      absl::string_view directory) override;
  absl::StatusOr<FileInfo> Stat(absl::string_view path) override;
  absl::Status CreateDirectories(absl::string_view directory) override;

 private:
  std::string bytes_;
  uint64_t bytes_cut_ = 0;
};

}  // namespace neumf
