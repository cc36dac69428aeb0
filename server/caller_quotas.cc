#include "server/caller_quotas.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "server/errors.h"

namespace neumf {
namespace {

// A caller that does not slow down fills no log.
constexpr absl::Duration kLogInterval = absl::Minutes(1);
constexpr size_t kMostLogged = 10;

absl::Status Refusal(const Caller& caller, const Quota& quota,
                     size_t num_users) {
  const bool never_fits = static_cast<double>(num_users) > quota.burst_users;
  return QuotaExceeded(
      absl::StrCat("caller:", caller.name),
      never_fits
          ? absl::StrCat("a call of ", num_users, " users is larger than the ",
                         quota.burst_users,
                         " that this caller may ask for at once")
          : absl::StrCat("this caller has used up its quota of ",
                         quota.users_per_second, " users a second, at most ",
                         quota.burst_users, " at once"));
}

}  // namespace

CallerQuotas::CallerQuotas(absl::string_view path, FileSystem* files,
                           const Clock* clock, ServerMetrics* metrics)
    : limits_(!path.empty()),
      clock_(clock),
      metrics_(metrics),
      file_(ConfigFile::kQuotas, {std::string(path)}, files, metrics,
            [this](const auto& texts) { return Use(texts[0]); }),
      next_logging_(clock->MonotonicNow()) {}

absl::Status CallerQuotas::Load() {
  return limits_ ? file_.Load() : absl::OkStatus();
}

void CallerQuotas::Poll() {
  if (!limits_) return;
  file_.Poll();
  LogRefusals();
}

absl::Status CallerQuotas::Use(absl::string_view text) {
  NEUMF_ASSIGN_OR_RETURN(QuotaTable table, QuotaTable::Parse(text));
  // The old one goes after the lock.
  MutexLock lock(&mutex_);
  std::swap(table_, table);
  return absl::OkStatus();
}

absl::Status CallerQuotas::Take(const Caller& caller, size_t num_users) {
  if (!limits_) return absl::OkStatus();
  const absl::Duration now = clock_->MonotonicNow();
  const auto wanted = static_cast<double>(num_users);
  Quota quota;
  {
    MutexLock lock(&mutex_);
    const Quota* const found = table_.Find(caller.name);
    if (found == nullptr) return absl::OkStatus();
    quota = *found;
    Bucket& bucket = BucketOf(caller.name, quota, now);
    // Threads come here in another order than they looked at the clock.
    const absl::Duration passed =
        std::max(now - bucket.filled_at, absl::ZeroDuration());
    bucket.filled_at += passed;
    bucket.users = std::min(
        quota.burst_users,
        bucket.users + quota.users_per_second * absl::ToDoubleSeconds(passed));
    if (bucket.users >= wanted) {
      bucket.users -= wanted;
      return absl::OkStatus();
    }
    ++bucket.num_refused;
  }
  metrics_->RequestShed(ShedReason::kQuota);
  return Refusal(caller, quota, num_users);
}

void CallerQuotas::GiveBack(absl::string_view caller, size_t num_users) {
  if (!limits_) return;
  MutexLock lock(&mutex_);
  const auto found = places_.find(caller);
  if (found == places_.end()) return;  // unlimited, or a full one by now
  // The next Take() sees to it that the bucket holds no more than its burst.
  found->second->users += static_cast<double>(num_users);
}

CallerQuotas::Bucket& CallerQuotas::BucketOf(const std::string& caller,
                                             const Quota& quota,
                                             absl::Duration now) {
  const auto found = places_.find(caller);
  if (found != places_.end()) {
    buckets_.splice(buckets_.begin(), buckets_, found->second);
    return buckets_.front();
  }
  if (buckets_.size() == kMaxCallers) {
    places_.erase(buckets_.back().caller);
    buckets_.pop_back();
  }
  buckets_.push_front({caller, quota.burst_users, now});
  places_.emplace(buckets_.front().caller, buckets_.begin());
  return buckets_.front();
}

// Here, as a handler may not wait for whoever reads the log.
void CallerQuotas::LogRefusals() {
  const absl::Duration now = clock_->MonotonicNow();
  if (now < next_logging_) return;
  std::vector<std::pair<uint64_t, std::string>> refused;
  {
    MutexLock lock(&mutex_);
    for (Bucket& bucket : buckets_) {
      const uint64_t count = std::exchange(bucket.num_refused, 0);
      if (count > 0) refused.emplace_back(count, bucket.caller);
    }
  }
  if (refused.empty()) return;
  next_logging_ = now + kLogInterval;
  std::sort(refused.rbegin(), refused.rend());
  refused.resize(std::min(refused.size(), kMostLogged));
  for (const auto& [count, caller] : refused) {
    LogEvent("quota_exceeded")
        .With("caller", caller)
        .WithNumber("calls", count);
  }
}

}  // namespace neumf
