#include "checkpoint/paced_file.h"

#include <algorithm>
#include <chrono>

#include "absl/time/clock.h"
#include "base/status_macros.h"

namespace neumf {

absl::Duration ReadPace::Count(uint64_t num_bytes, absl::Duration now) {
  const absl::Duration takes =
      absl::Seconds(static_cast<double>(num_bytes) / bytes_per_second_);
  MutexLock lock(&mutex_);
  due_ = std::max(due_, now) + takes;
  return due_ - now;
}

absl::StatusOr<size_t> PacedFile::ReadAt(uint64_t offset,
                                         absl::Span<char> buffer) {
  NEUMF_ASSIGN_OR_RETURN(const size_t num_read, file_->ReadAt(offset, buffer));
  const absl::Duration now =
      absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
  absl::SleepFor(pace_.Count(num_read, now));
  return num_read;
}

}  // namespace neumf
