#pragma once

// A FileSystem over a real one whose calls can be made to fail, so that a test
// can walk through every point at which a disk may give up.

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/mutex.h"

namespace neumf {

class FaultyFileSystem : public FileSystem {
 public:
  // `base` must outlive this.
  explicit FaultyFileSystem(FileSystem* base) : base_(base) {}

  // The `nth` call from now on (1 is the next), of files' methods too, fails
  // with `error`; the calls after it succeed again. A failing Append first
  // writes half of its bytes.
  void FailCall(int nth, absl::Status error);
  // Like FailCall, and every call after it fails too: the machine has died.
  void FailFrom(int nth, absl::Status error);
  // Before the `nth` call from now on somebody else does `act`, by the thread
  // that calls; none of them fails.
  void OnCall(int nth, std::function<void()> act);
  void StopFailing();
  // From now on files take `bytes` more between them. An Append beyond that
  // writes half of its bytes and fails with RESOURCE_EXHAUSTED.
  void LimitSpace(uint64_t bytes);
  // Calls made since the last FailCall(), FailFrom(), OnCall() or StopFailing().
  int num_calls() const;

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

  // For the files that this one opens: counts a call, and its error if it is
  // to fail.
  absl::Status NextCall();
  // The same for an Append, with the space that it takes.
  absl::Status NextAppend(uint64_t bytes);

 private:
  void Arm(int nth, bool and_after, absl::Status error);

  FileSystem* const base_;

  mutable Mutex mutex_;
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
  int fail_at_ ABSL_GUARDED_BY(mutex_) = 0;  // 0: never
  bool fail_after_ ABSL_GUARDED_BY(mutex_) = false;
  int act_at_ ABSL_GUARDED_BY(mutex_) = 0;  // 0: never
  std::function<void()> act_ ABSL_GUARDED_BY(mutex_);
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
  uint64_t free_bytes_ ABSL_GUARDED_BY(mutex_) =
      std::numeric_limits<uint64_t>::max();
};

}  // namespace neumf
