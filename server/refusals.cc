#include "server/refusals.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

namespace neumf {
namespace {

constexpr absl::Duration kFirstBackoff = absl::Seconds(1);
constexpr absl::Duration kLongestBackoff = absl::Seconds(60);
// A directory may hold thousands of files that are none.
constexpr size_t kMaxReasonsTold = 5;

}  // namespace

Refusals::Attempt Refusals::Next(uint64_t version, const FileInfo& info) {
  const auto it = refusals_.find(version);
  if (it == refusals_.end()) return Attempt::kFirst;
  Refusal& refusal = it->second;
  const FileInfo last_look = std::exchange(refusal.last_look, info);
  if (info == refusal.file) {
    const bool due = clock_->MonotonicNow() >= refusal.retry_at;
    return due ? Attempt::kAgain : Attempt::kNone;
  }
  const bool replaced = info.inode != refusal.file.inode;
  return replaced || info == last_look ? Attempt::kFirst : Attempt::kNone;
}

bool Refusals::IsRepetition(uint64_t version,
                            const LoadOutcome& outcome) const {
  const auto it = refusals_.find(version);
  return it != refusals_.end() && it->second.result == outcome.result;
}

void Refusals::Remember(uint64_t version, const LoadOutcome& outcome) {
  Refusal& refusal = refusals_[version];
  const bool is_first_device_error =
      outcome.result == ReloadResult::kDeviceError &&
      (refusal.result != ReloadResult::kDeviceError ||
       !(refusal.file == outcome.file));
  refusal.file = outcome.file;
  refusal.last_look = outcome.file;
  refusal.result = outcome.result;
  refusal.reason = outcome.reason;
  refusal.retry_at = absl::InfiniteDuration();
  const bool passes = outcome.result == ReloadResult::kIoError ||
                      outcome.result == ReloadResult::kNoMemory ||
                      is_first_device_error;
  if (!passes) return;
  refusal.backoff =
      std::clamp(refusal.backoff * 2, kFirstBackoff, kLongestBackoff);
  refusal.retry_at = clock_->MonotonicNow() + refusal.backoff;
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
