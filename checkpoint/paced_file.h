#pragma once

// A file that is read no faster than asked for, so that a load leaves the disk,
// or the network behind it, to others.

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/file_system.h"
#include "base/mutex.h"

namespace neumf {

// When who has read may go on, so that all readers together keep to a pace. Any
// thread may call it.
class ReadPace {
 public:
  // REQUIRES: bytes_per_second > 0.
  explicit ReadPace(uint64_t bytes_per_second)
      : bytes_per_second_(static_cast<double>(bytes_per_second)) {}

  // So many bytes were read by `now`, of a clock that does not go back: how long
  // their reader has to wait. Time in which nobody read is not made up for.
  absl::Duration Count(uint64_t num_bytes, absl::Duration now);

 private:
  const double bytes_per_second_;
  Mutex mutex_;
  absl::Duration due_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
};

class PacedFile : public ReadableFile {
 public:
  PacedFile(std::unique_ptr<ReadableFile> file, uint64_t bytes_per_second)
      : file_(std::move(file)), pace_(bytes_per_second) {}

  const FileInfo& info() const override { return file_->info(); }
  // Returns when its time has come.
  absl::StatusOr<size_t> ReadAt(uint64_t offset,
                                absl::Span<char> buffer) override;

 private:
  const std::unique_ptr<ReadableFile> file_;
  ReadPace pace_;
};

}  // namespace neumf
