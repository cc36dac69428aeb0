#pragma once

// The few file operations that neumf needs, as a dependency: tests put a
// FaultyFileSystem here and fail the n-th call.
//
// Every method may be called by any thread. A file that is written belongs to
// one thread at a time; one that is read may be used by any number of them.
// Errors carry the path and the system's reason; the codes are those of
// ErrnoStatus().

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace neumf {

// What identifies a file and its content without reading it.
struct FileInfo {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size_bytes = 0;
  int64_t modified_nanos = 0;  // since the Unix epoch
  bool is_regular = false;

  friend bool operator==(const FileInfo& a, const FileInfo& b) {
    return a.device == b.device && a.inode == b.inode &&
           a.size_bytes == b.size_bytes &&
           a.modified_nanos == b.modified_nanos && a.is_regular == b.is_regular;
  }
};

class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  // As the file was when it was opened.
  virtual const FileInfo& info() const = 0;
  // Fills `buffer` from `offset` on and returns the bytes read: fewer than
  // asked only at the end of the file.
  virtual absl::StatusOr<size_t> ReadAt(uint64_t offset,
                                        absl::Span<char> buffer) = 0;
};

class WritableFile {
 public:
  // Closes; what was not synced may be lost.
  virtual ~WritableFile() = default;
  virtual absl::Status Append(absl::string_view bytes) = 0;
  // Returns when the content is on the disk.
  virtual absl::Status Sync() = 0;
  virtual absl::Status Close() = 0;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // INVALID_ARGUMENT for anything but a regular file.
  virtual absl::StatusOr<std::unique_ptr<ReadableFile>> OpenForRead(
      absl::string_view path) = 0;
  // ALREADY_EXISTS when there is something under that name.
  virtual absl::StatusOr<std::unique_ptr<WritableFile>> CreateNew(
      absl::string_view path) = 0;
  // Atomic. ALREADY_EXISTS when `to` exists: nothing is ever overwritten.
  virtual absl::Status RenameNoReplace(absl::string_view from,
                                       absl::string_view to) = 0;
  // Atomic; replaces `to`.
  virtual absl::Status Rename(absl::string_view from, absl::string_view to) = 0;
  virtual absl::Status Remove(absl::string_view path) = 0;
  // Makes the names in `directory` durable.
  virtual absl::Status SyncDirectory(absl::string_view directory) = 0;
  // Names, not paths, in no order; without "." and "..".
  virtual absl::StatusOr<std::vector<std::string>> ListDirectory(
      absl::string_view directory) = 0;
  virtual absl::StatusOr<FileInfo> Stat(absl::string_view path) = 0;
  // Makes `directory` and its parents; OK when it is there.
  virtual absl::Status CreateDirectories(absl::string_view directory) = 0;
};

std::unique_ptr<FileSystem> MakePosixFileSystem();

// "directory/name".
std::string JoinPath(absl::string_view directory, absl::string_view name);
// Where the last name of `path` stands: "." for a name alone. A part of `path`,
// or static.
absl::string_view DirectoryOf(absl::string_view path);

// The whole file. RESOURCE_EXHAUSTED when it is larger than `max_bytes`.
absl::StatusOr<std::string> ReadWholeFile(FileSystem& files,
                                          absl::string_view path,
                                          uint64_t max_bytes);

// Replaces `path` so that a reader meets the old or the new content, never a
// part: temporary name, sync, rename, sync of the directory.
absl::Status WriteFileAtomically(FileSystem& files, absl::string_view path,
                                 absl::string_view content);

}  // namespace neumf
