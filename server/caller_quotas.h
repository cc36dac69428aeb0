#pragma once

// How many users each caller may ask for, so that one of them cannot take the
// server away from the others. A call of n users costs n, as it costs the
// scorer; quota_table.h has the rule and the file.
//
// Callers are told apart by their names. Where nobody is asked for one, all of
// them share the quota of callers without a line. The file is read again when
// it changes, as the one of the tokens is; what a caller has left stays, up to
// its new burst.
//
//   CallerQuotas quotas(path, files, clock, metrics);
//   NEUMF_RETURN_IF_ERROR(quotas.Load());
//   ... for each call: NEUMF_RETURN_IF_ERROR(quotas.Take(caller, num_users));
//   ... now and then: quotas.Poll();

#include <cstdint>
#include <list>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "server/caller.h"
#include "server/quota_table.h"
#include "server/reloaded_files.h"
#include "server/server_metrics.h"

namespace neumf {

class CallerQuotas {
 public:
  // Whose bucket is kept; who was silent for the longest loses it first, and
  // begins anew with a full one.
  static constexpr size_t kMaxCallers = 10'000;

  // An empty path sets no limits. The pointers must outlive this.
  CallerQuotas(absl::string_view path, FileSystem* files, const Clock* clock,
               ServerMetrics* metrics);

  // The first time. INVALID_ARGUMENT, and the errors of files.
  absl::Status Load();
  // Takes the file over if it has changed, and logs who was refused. From one
  // thread.
  void Poll();

  // Takes `num_users` out of the caller's bucket. RESOURCE_EXHAUSTED with
  // QuotaFailure when it does not hold so many; it then loses none, and the
  // refusal is counted. Any thread.
  absl::Status Take(const Caller& caller, size_t num_users);
  // Puts back what Take() took for a call that the server had no room for, by
  // the name of its caller. Any thread.
  void GiveBack(absl::string_view caller, size_t num_users);

 private:
  struct Bucket {
    std::string caller;
    double users = 0;
    absl::Duration filled_at = absl::ZeroDuration();  // monotonic
    uint64_t num_refused = 0;                         // since it was logged
  };

  absl::Status Use(absl::string_view text);
  // Makes a full one where there is none.
  Bucket& BucketOf(const std::string& caller, const Quota& quota,
                   absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LogRefusals();

  const bool limits_;
  const Clock* const clock_;
  ServerMetrics* const metrics_;
  ReloadedFiles file_;           // Poll()'s, as is the next
  absl::Duration next_logging_;  // monotonic

  Mutex mutex_;
  QuotaTable table_ ABSL_GUARDED_BY(mutex_);
  // The one that was used last comes first.
  std::list<Bucket> buckets_ ABSL_GUARDED_BY(mutex_);
  // Keys are the names in the buckets.
  absl::flat_hash_map<absl::string_view, std::list<Bucket>::iterator> places_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace neumf
