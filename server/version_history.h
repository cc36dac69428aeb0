#pragma once

// What the daemon remembers of each attempt to load a checkpoint: what
// ListModelVersions and WatchModelVersions show. States of an attempt move one
// way, but for what a rollback brings back:
//
//   FOUND -> LOADING -> SERVING <-> STANDBY -> RETIRED
//                    `-> CANDIDATE -> SERVING, RETIRED or REFUSED
//                    `-> REFUSED, with a reason; FOUND again while its file is
//                        being written, which is tried anew when it is still
//                    `-> RETIRED, when it was given up
//
// Loading a version again is a new attempt with a record of its own. The oldest
// finished records are forgotten when there are more than kMaxRecords, and so
// are changes. Any thread may call any method.

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "neumf/v1/model_service.pb.h"
#include "server/snapshot.h"

namespace neumf {

class VersionHistory {
 public:
  static constexpr size_t kMaxRecords = 200;
  static constexpr size_t kMaxChanges = 200;

  // `on_change` is called after each change, by the thread that made it, and
  // must not block.
  explicit VersionHistory(std::function<void()> on_change = [] {});

  // A new attempt in state FOUND; returns its number, never used before.
  uint64_t Found(uint64_t version, uint64_t file_bytes, absl::Time now);
  void Loading(uint64_t attempt);
  // It is loaded, and on trial.
  void OnTrial(uint64_t attempt, const Snapshot& snapshot);
  // What was on trial gave way; or the load was given up, before it said
  // anything about its file.
  void Retired(uint64_t attempt);
  // What was SERVING or STANDBY becomes STANDBY if it is in `kept`, or RETIRED.
  void Serving(uint64_t attempt, const Snapshot& snapshot, absl::Time now,
               const std::vector<uint64_t>& kept = {});
  // The same for what was STANDBY, while SERVING stays.
  void Kept(const std::vector<uint64_t>& kept);
  // What was SERVING or STANDBY becomes RETIRED.
  void Unserved();
  void Refused(uint64_t attempt, absl::string_view digest,
               absl::string_view reason);
  // What was REFUSED is FOUND, or the other way round, with its old reason.
  void SetWaiting(uint64_t attempt, bool is_waiting);

  // Newest first.
  std::vector<v1::ModelVersion> List() const;
  // An empty one when it is forgotten.
  v1::ModelVersion Get(uint64_t attempt) const;

  // What changed after a point in time, oldest first, and the point to ask from
  // next time. From the beginning, or from so long ago that the changes are
  // forgotten, it is the present state of all that changed since.
  struct Changes {
    std::vector<v1::ModelVersion> versions;
    uint64_t until = 0;
  };
  Changes ChangesAfter(uint64_t point) const;

 private:
  struct Record {
    uint64_t attempt = 0;
    uint64_t changed = 0;  // the number of its last change
    v1::ModelVersion version;
    std::string put_aside;  // the reason of what was REFUSED and is FOUND
  };
  // Null when there is none.
  Record* Find(uint64_t attempt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SetState(v1::ModelState state, Record* record)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Those in `state` but for `served` become STANDBY if they are in `kept`, or
  // RETIRED.
  void Leave(v1::ModelState state, uint64_t served,
             const std::vector<uint64_t>& kept)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::function<void()> on_change_;

  mutable Mutex mutex_;
  uint64_t last_attempt_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t last_change_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Record> records_ ABSL_GUARDED_BY(mutex_);  // oldest first
  // The newest, up to last_change_, oldest first.
  std::deque<v1::ModelVersion> changes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace neumf
