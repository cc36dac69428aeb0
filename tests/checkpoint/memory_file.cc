#include "tests/checkpoint/memory_file.h"

namespace neumf {
namespace {

class OpenMemoryFile : public ReadableFile {
 public:
  OpenMemoryFile(const FileInfo& info, const std::string* bytes)
      : info_(info), bytes_(bytes) {}

  const FileInfo& info() const override { return info_; }

  absl::StatusOr<size_t> ReadAt(uint64_t offset,
                                absl::Span<char> buffer) override {
    if (offset >= bytes_->size()) return 0;
    return bytes_->copy(buffer.data(), buffer.size(), offset);
  }

 private:
  const FileInfo info_;
  const std::string* const bytes_;
};

class NewMemoryFile : public WritableFile {
 public:
  explicit NewMemoryFile(std::string* bytes) : bytes_(bytes) {}

  absl::Status Append(absl::string_view bytes) override {
    bytes_->append(bytes.data(), bytes.size());
    return absl::OkStatus();
  }
  absl::Status Sync() override { return absl::OkStatus(); }
  absl::Status Close() override { return absl::OkStatus(); }

 private:
  std::string* const bytes_;
};

absl::Status NoDirectory() {
  return absl::UnimplementedError("a memory file is in no directory");
}

}  // namespace

void MemoryFile::CutTo(size_t num_bytes) {
  bytes_cut_ = bytes_.size() - num_bytes;
  bytes_.resize(num_bytes);
}

absl::StatusOr<std::unique_ptr<ReadableFile>> MemoryFile::OpenForRead(
    absl::string_view /*path*/) {
  FileInfo info;
  info.size_bytes = bytes_.size() + bytes_cut_;
  info.is_regular = true;
  return std::make_unique<OpenMemoryFile>(info, &bytes_);
}

absl::StatusOr<std::unique_ptr<WritableFile>> MemoryFile::CreateNew(
    absl::string_view path) {
  if (!bytes_.empty()) return absl::AlreadyExistsError(path);
  return std::make_unique<NewMemoryFile>(&bytes_);
}

absl::Status MemoryFile::RenameNoReplace(absl::string_view /*from*/,
                                         absl::string_view /*to*/) {
  return NoDirectory();
}

absl::Status MemoryFile::Rename(absl::string_view /*from*/,
                                absl::string_view /*to*/) {
  return NoDirectory();
}

absl::Status MemoryFile::Remove(absl::string_view /*path*/) {
  return NoDirectory();
}

absl::Status MemoryFile::SyncDirectory(absl::string_view /*directory*/) {
  return NoDirectory();
}

absl::StatusOr<std::vector<std::string>> MemoryFile::ListDirectory(
    absl::string_view /*directory*/) {
  return NoDirectory();
}

absl::StatusOr<FileInfo> MemoryFile::Stat(absl::string_view /*path*/) {
  return NoDirectory();
}

absl::Status MemoryFile::CreateDirectories(absl::string_view /*directory*/) {
  return NoDirectory();
}

}  // namespace neumf
