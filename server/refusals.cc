#include "server/refusals.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace neumf {
namespace {

constexpr absl::Duration kFirstBackoff = absl::Seconds(1);
constexpr absl::Duration kLongestBackoff = absl::Seconds(60);
// What does not change for so long is not being written.
constexpr absl::Duration kStill = absl::Seconds(1);
// A file may be met half-copied until it is so old.
constexpr absl::Duration kYoung = absl::Seconds(60);
// A directory may hold thousands of files that are none.
constexpr size_t kMaxReasonsTold = 5;

}  // namespace

Refusals::Attempt Refusals::Next(uint64_t version, const FileInfo& info) {
  const auto it = refusals_.find(version);
  if (it == refusals_.end()) return Attempt::kFirst;
  Refusal& refusal = it->second;
  const absl::Duration now = clock_->MonotonicNow();
  if (info == refusal.file) {
    return now >= refusal.retry_at ? Attempt::kAgain : Attempt::kNone;
  }
  if (info.inode != refusal.file.inode) return Attempt::kFirst;
  if (!(info == refusal.last_look)) {
    refusal.last_look = info;
    refusal.still_since = now;
  }
  if (now - refusal.still_since < kStill) return Attempt::kWaiting;
  const absl::Time modified = absl::FromUnixNanos(info.modified_nanos);
  const bool is_young = clock_->WallNow() - modified < kYoung;
  return is_young ? Attempt::kAgain : Attempt::kFirst;
}

bool Refusals::IsRepetition(uint64_t version,
                            const LoadOutcome& outcome) const {
  const auto it = refusals_.find(version);
  return it != refusals_.end() && it->second.result == outcome.result;
}

uint64_t Refusals::attempt(uint64_t version) const {
  const auto it = refusals_.find(version);
  return it == refusals_.end() ? 0 : it->second.attempt;
}

void Refusals::Remember(uint64_t version, const LoadOutcome& outcome,
                        uint64_t attempt) {
  Refusal& refusal = refusals_[version];
  if (attempt != 0) refusal.attempt = attempt;
  const bool is_first_device_error =
      outcome.result == ReloadResult::kDeviceError &&
      (refusal.result != ReloadResult::kDeviceError ||
       !(refusal.file == outcome.file));
  refusal.failed_unloaded &= refusal.file == outcome.file;
  refusal.file = outcome.file;
  refusal.last_look = outcome.file;
  refusal.result = outcome.result;
  refusal.reason = outcome.reason;
  refusal.retry_at = absl::InfiniteDuration();
  const bool passes = outcome.result == ReloadResult::kIoError ||
                      outcome.result == ReloadResult::kNoMemory ||
                      outcome.result == ReloadResult::kBadSignature ||
                      is_first_device_error;
  if (!passes) return;
  refusal.backoff =
      std::clamp(refusal.backoff * 2, kFirstBackoff, kLongestBackoff);
  refusal.retry_at = clock_->MonotonicNow() + refusal.backoff;
}

void Refusals::ForgetVerdict(uint64_t version) {
  const auto it = refusals_.find(version);
  if (it == refusals_.end()) return;
  const ReloadResult result = it->second.result;
  const bool is_verdict = result == ReloadResult::kGateFailed ||
                          result == ReloadResult::kRolledBack;
  if (is_verdict) refusals_.erase(it);
}

void Refusals::RememberUnloaded(uint64_t version) {
  refusals_[version].failed_unloaded = true;
}

bool Refusals::FailedUnloaded(uint64_t version, const FileInfo& file) const {
  const auto it = refusals_.find(version);
  return it != refusals_.end() && it->second.failed_unloaded &&
         it->second.file == file;
}

void Refusals::ForgetMissing(const std::vector<CheckpointFile>& found) {
  auto file = found.begin();  // both ascend
  for (auto it = refusals_.begin(); it != refusals_.end();) {
    while (file != found.end() && file->version < it->first) ++file;
    const bool missing = file == found.end() || file->version != it->first;
    it = missing ? refusals_.erase(it) : std::next(it);
  }
}

std::string Refusals::ToString() const {
  std::string text;
  size_t left = refusals_.size();
  for (auto it = refusals_.rbegin(); it != refusals_.rend(); ++it, --left) {
    if (refusals_.size() - left == kMaxReasonsTold) break;
    absl::StrAppend(&text, text.empty() ? "" : "; ", "version ", it->first,
                    ": ", it->second.reason);
  }
  if (left > 0) absl::StrAppend(&text, "; and ", left, " older versions");
  return text;
}

}  // namespace neumf
