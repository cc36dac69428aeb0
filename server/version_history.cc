#include "server/version_history.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/utf8.h"

namespace neumf {
namespace {

// Longer reasons are cut: a file may have made us quote it.
constexpr size_t kMaxReasonBytes = 1024;

// `text` as a proto3 string can hold it; it may quote names of a file.
std::string CleanReason(absl::string_view text) {
  std::string reason(text.substr(0, kMaxReasonBytes));
  if (IsValidUtf8(reason)) return reason;
  std::replace_if(
      reason.begin(), reason.end(),
      [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
  return reason;
}

void SetTime(absl::Time time, google::protobuf::Timestamp* timestamp) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  timestamp->set_seconds(seconds);
  timestamp->set_nanos(static_cast<int32_t>(
      absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

void Describe(const Snapshot& snapshot, v1::ModelVersion* version) {
  version->set_digest(snapshot.digest);
  version->set_kind(snapshot.kind);
  version->set_file_bytes(static_cast<int64_t>(snapshot.file_bytes));
  version->set_resident_bytes(static_cast<int64_t>(snapshot.resident_bytes));
  version->set_user_count(static_cast<int64_t>(snapshot.shape().num_users));
  version->set_item_count(static_cast<int64_t>(snapshot.shape().num_items));
}

bool IsFinished(const v1::ModelVersion& version) {
  return version.state() == v1::MODEL_STATE_RETIRED ||
         version.state() == v1::MODEL_STATE_REFUSED;
}

}  // namespace

VersionHistory::VersionHistory(std::function<void()> on_change)
    : on_change_(std::move(on_change)) {}

uint64_t VersionHistory::Found(uint64_t version, uint64_t file_bytes,
                               absl::Time now) {
  uint64_t attempt;
  {
    MutexLock lock(&mutex_);
    attempt = ++last_attempt_;
    records_.push_back({attempt, 0, {}, ""});
    Record& record = records_.back();
    record.version.set_version(absl::StrCat(version));
    record.version.set_file_bytes(static_cast<int64_t>(file_bytes));
    SetTime(now, record.version.mutable_found_time());
    SetState(v1::MODEL_STATE_FOUND, &record);
    if (records_.size() > kMaxRecords) {
      const auto oldest =
          std::find_if(records_.begin(), records_.end(),
                       [](const Record& r) { return IsFinished(r.version); });
      if (oldest != records_.end()) records_.erase(oldest);
    }
  }
  on_change_();
  return attempt;
}

void VersionHistory::Loading(uint64_t attempt) {
  {
    MutexLock lock(&mutex_);
    Record* record = Find(attempt);
    if (record != nullptr) SetState(v1::MODEL_STATE_LOADING, record);
  }
  on_change_();
}

void VersionHistory::OnTrial(uint64_t attempt, const Snapshot& snapshot) {
  {
    MutexLock lock(&mutex_);
    Record* record = Find(attempt);
    if (record == nullptr) return;
    Describe(snapshot, &record->version);
    SetState(v1::MODEL_STATE_CANDIDATE, record);
  }
  on_change_();
}

void VersionHistory::Retired(uint64_t attempt) {
  {
    MutexLock lock(&mutex_);
    Record* record = Find(attempt);
    if (record == nullptr) return;
    record->version.set_resident_bytes(0);
    SetState(v1::MODEL_STATE_RETIRED, record);
  }
  on_change_();
}

void VersionHistory::Serving(uint64_t attempt, const Snapshot& snapshot,
                             absl::Time now,
                             const std::vector<uint64_t>& kept) {
  {
    MutexLock lock(&mutex_);
    Leave(v1::MODEL_STATE_STANDBY, attempt, kept);
    Leave(v1::MODEL_STATE_SERVING, attempt, kept);
    Record* record = Find(attempt);
    if (record != nullptr) {
      Describe(snapshot, &record->version);
      SetTime(now, record->version.mutable_load_time());
      SetState(v1::MODEL_STATE_SERVING, record);
    }
  }
  on_change_();
}

void VersionHistory::Unserved() {
  {
    MutexLock lock(&mutex_);
    Leave(v1::MODEL_STATE_STANDBY, /*served=*/0, {});
    Leave(v1::MODEL_STATE_SERVING, /*served=*/0, {});
  }
  on_change_();
}

void VersionHistory::Kept(const std::vector<uint64_t>& kept) {
  {
    MutexLock lock(&mutex_);
    Leave(v1::MODEL_STATE_STANDBY, /*served=*/0, kept);
  }
  on_change_();
}

void VersionHistory::Refused(uint64_t attempt, absl::string_view digest,
                             absl::string_view reason) {
  {
    MutexLock lock(&mutex_);
    Record* record = Find(attempt);
    if (record == nullptr) return;
    record->version.set_digest(digest.data(), digest.size());
    record->version.set_reason(CleanReason(reason));
    record->version.set_resident_bytes(0);
    SetState(v1::MODEL_STATE_REFUSED, record);
  }
  on_change_();
}

void VersionHistory::SetWaiting(uint64_t attempt, bool is_waiting) {
  const v1::ModelState from =
      is_waiting ? v1::MODEL_STATE_REFUSED : v1::MODEL_STATE_FOUND;
  {
    MutexLock lock(&mutex_);
    Record* record = Find(attempt);
    if (record == nullptr || record->version.state() != from) return;
    record->version.mutable_reason()->swap(record->put_aside);
    SetState(is_waiting ? v1::MODEL_STATE_FOUND : v1::MODEL_STATE_REFUSED,
             record);
  }
  on_change_();
}

std::vector<v1::ModelVersion> VersionHistory::List() const {
  MutexLock lock(&mutex_);
  std::vector<v1::ModelVersion> versions;
  versions.reserve(records_.size());
  for (auto it = records_.rbegin(); it != records_.rend(); ++it) {
    versions.push_back(it->version);
  }
  return versions;
}

v1::ModelVersion VersionHistory::Get(uint64_t attempt) const {
  MutexLock lock(&mutex_);
  for (const Record& record : records_) {
    if (record.attempt == attempt) return record.version;
  }
  return {};
}

VersionHistory::Changes VersionHistory::ChangesAfter(uint64_t point) const {
  MutexLock lock(&mutex_);
  Changes changes;
  changes.until = last_change_;
  const uint64_t forgotten = last_change_ - changes_.size();
  if (point > 0 && point >= forgotten) {
    changes.versions.assign(
        changes_.begin() + static_cast<std::ptrdiff_t>(point - forgotten),
        changes_.end());
    return changes;
  }
  std::vector<const Record*> records;
  for (const Record& record : records_) {
    if (record.changed > point) records.push_back(&record);
  }
  std::sort(
      records.begin(), records.end(),
      [](const Record* a, const Record* b) { return a->changed < b->changed; });
  for (const Record* record : records) {
    changes.versions.push_back(record->version);
  }
  return changes;
}

VersionHistory::Record* VersionHistory::Find(uint64_t attempt) {
  // Attempts ascend, and the one that is asked for is nearly always the last.
  const auto it =
      std::find_if(records_.rbegin(), records_.rend(),
                   [&](const Record& r) { return r.attempt == attempt; });
  return it == records_.rend() ? nullptr : &*it;
}

void VersionHistory::SetState(v1::ModelState state, Record* record) {
  record->version.set_state(state);
  record->changed = ++last_change_;
  changes_.push_back(record->version);
  if (changes_.size() > kMaxChanges) changes_.pop_front();
}

void VersionHistory::Leave(v1::ModelState state, uint64_t served,
                           const std::vector<uint64_t>& kept) {
  for (Record& record : records_) {
    if (record.version.state() != state || record.attempt == served) continue;
    if (std::find(kept.begin(), kept.end(), record.attempt) != kept.end()) {
      if (state != v1::MODEL_STATE_STANDBY) {
        SetState(v1::MODEL_STATE_STANDBY, &record);
      }
      continue;
    }
    record.version.set_resident_bytes(0);
    SetState(v1::MODEL_STATE_RETIRED, &record);
  }
}

}  // namespace neumf
