#pragma once

// What the daemon remembers of each attempt to load a checkpoint: what
// ListModelVersions shows. States of an attempt move one way:
//
//   FOUND -> LOADING -> SERVING -> [STANDBY ->] RETIRED
//                    `-> REFUSED, with a reason
//
// Loading a version again is a new attempt with a record of its own. The oldest
// finished records are forgotten when there are more than kMaxRecords.
// Any thread may call any method.

#include <cstdint>
#include <deque>
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

  // A new attempt in state FOUND; returns its number, never used before.
  uint64_t Found(uint64_t version, uint64_t file_bytes, absl::Time now);
  void Loading(uint64_t attempt);
  // What was SERVING becomes RETIRED.
  void Serving(uint64_t attempt, const Snapshot& snapshot, absl::Time now);
  void Refused(uint64_t attempt, absl::string_view digest,
               absl::string_view reason);
  // Drops an attempt that was given up before it said anything about its file.
  void Forget(uint64_t attempt);

  // Newest first.
  std::vector<v1::ModelVersion> List() const;

 private:
  struct Record {
    uint64_t attempt = 0;
    v1::ModelVersion version;
  };
  Record* Find(uint64_t attempt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  uint64_t last_attempt_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Record> records_ ABSL_GUARDED_BY(mutex_);  // oldest first
};

}  // namespace neumf
