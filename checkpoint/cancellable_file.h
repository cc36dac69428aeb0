#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/file_system.h"

namespace neumf {

// A file that can be read for as long as somebody wants it.
class CancellableFile : public ReadableFile {
 public:
  CancellableFile(std::unique_ptr<ReadableFile> file,
                  std::function<bool()> cancelled)
      : file_(std::move(file)), cancelled_(std::move(cancelled)) {}

  const FileInfo& info() const override { return file_->info(); }

  absl::StatusOr<size_t> ReadAt(uint64_t offset,
                                absl::Span<char> buffer) override {
    if (cancelled_()) return absl::CancelledError("no longer wanted");
    return file_->ReadAt(offset, buffer);
  }

 private:
  const std::unique_ptr<ReadableFile> file_;
  const std::function<bool()> cancelled_;
};

}  // namespace neumf
