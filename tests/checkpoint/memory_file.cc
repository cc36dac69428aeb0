#include "tests/checkpoint/memory_file.h"

#include <algorithm>
#include <utility>

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

absl::Status ReadOnly() {
  return absl::UnimplementedError("a memory file is only read");
}

}  // namespace

MemoryFile::MemoryFile(std::string bytes) : bytes_(std::move(bytes)) {
  info_.size_bytes = bytes_.size();
  info_.is_regular = true;
}

void MemoryFile::CutTo(size_t num_bytes) { bytes_.resize(num_bytes); }

absl::StatusOr<std::unique_ptr<ReadableFile>> MemoryFile::OpenForRead(
    absl::string_view) {
  return std::make_unique<OpenMemoryFile>(info_, &bytes_);
}

absl::StatusOr<std::unique_ptr<WritableFile>> MemoryFile::CreateNew(
    absl::string_view) {
  return ReadOnly();
}

absl::Status MemoryFile::RenameNoReplace(absl::string_view, absl::string_view) {
  return ReadOnly();
}

absl::Status MemoryFile::Rename(absl::string_view, absl::string_view) {
  return ReadOnly();
}

absl::Status MemoryFile::Remove(absl::string_view) { return ReadOnly(); }

absl::Status MemoryFile::SyncDirectory(absl::string_view) { return ReadOnly(); }

absl::StatusOr<std::vector<std::string>> MemoryFile::ListDirectory(
    absl::string_view) {
  return ReadOnly();
}

absl::StatusOr<FileInfo> MemoryFile::Stat(absl::string_view) {
  return ReadOnly();
}

absl::Status MemoryFile::CreateDirectories(absl::string_view) {
  return ReadOnly();
}

}  // namespace neumf
