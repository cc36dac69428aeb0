#pragma once

// The versions that are in memory: the served one, and those that were served
// before it and are kept warm for a rollback (STANDBY), the last one first. Of
// one that gave its memory to the next it knows the number.
//
// It keeps them alive and knows them; the SnapshotHolder alone says which one
// answers. Any thread may call any method.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "server/snapshot.h"

namespace neumf {

struct LoadedVersion {
  std::shared_ptr<const Snapshot> snapshot;
  uint64_t attempt = 0;  // its record in the VersionHistory
  FileInfo file;         // as it was when it was read
};

class LoadedVersions {
 public:
  // `max_loaded` counts the served one; at least 1.
  explicit LoadedVersions(size_t max_loaded) : max_standbys_(max_loaded - 1) {}

  LoadedVersion served() const;
  // `next` was swapped in. What was served is kept if `keep_previous`, as far
  // as there is room; a standby of the same version is not. Where nothing was
  // served, what was unloaded for it stays known.
  void Serve(LoadedVersion next, bool keep_previous);

  // The one to roll back to; without a snapshot when there is none.
  LoadedVersion LastStandby() const;
  LoadedVersion FindStandby(uint64_t version) const;
  // Lets go of all. False when there were none.
  bool DropStandbys();
  // Lets go of those whose version `is_meant`, which must not block; says
  // which.
  std::vector<uint64_t> DropStandbysIf(
      absl::FunctionRef<bool(uint64_t version)> is_meant);
  // Lets go of what was served, too, so that another version finds room.
  void Unload();
  // What was served before Unload(), until it is served again, or the version
  // after it is replaced; 0: nothing.
  uint64_t unloaded() const;
  // Their records, for VersionHistory.
  std::vector<uint64_t> standby_attempts() const;

 private:
  const size_t max_standbys_;

  mutable Mutex mutex_;
  LoadedVersion served_ ABSL_GUARDED_BY(mutex_);
  uint64_t unloaded_ ABSL_GUARDED_BY(mutex_) = 0;
  // Last served first.
  std::deque<LoadedVersion> standbys_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace neumf
