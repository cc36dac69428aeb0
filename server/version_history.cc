#include "server/version_history.h"

#include <algorithm>
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

bool IsFinished(const v1::ModelVersion& version) {
  return version.state() == v1::MODEL_STATE_RETIRED ||
         version.state() == v1::MODEL_STATE_REFUSED;
}

}  // namespace

uint64_t VersionHistory::Found(uint64_t version, uint64_t file_bytes,
                               absl::Time now) {
  MutexLock lock(&mutex_);
  Record record;
  record.attempt = ++last_attempt_;
  record.version.set_version(absl::StrCat(version));
  record.version.set_state(v1::MODEL_STATE_FOUND);
  record.version.set_file_bytes(static_cast<int64_t>(file_bytes));
  SetTime(now, record.version.mutable_found_time());
  records_.push_back(std::move(record));
  if (records_.size() > kMaxRecords) {
    const auto oldest =
        std::find_if(records_.begin(), records_.end(),
                     [](const Record& r) { return IsFinished(r.version); });
    if (oldest != records_.end()) records_.erase(oldest);
  }
  return last_attempt_;
}

void VersionHistory::Loading(uint64_t attempt) {
  MutexLock lock(&mutex_);
  Record* record = Find(attempt);
  if (record != nullptr) record->version.set_state(v1::MODEL_STATE_LOADING);
}

void VersionHistory::Serving(uint64_t attempt, const Snapshot& snapshot,
                             absl::Time now) {
  MutexLock lock(&mutex_);
  for (Record& record : records_) {
    if (record.version.state() != v1::MODEL_STATE_SERVING) continue;
    record.version.set_state(v1::MODEL_STATE_RETIRED);
    record.version.set_resident_bytes(0);
  }
  Record* record = Find(attempt);
  if (record == nullptr) return;
  v1::ModelVersion& version = record->version;
  version.set_state(v1::MODEL_STATE_SERVING);
  version.set_digest(snapshot.digest);
  version.set_kind(snapshot.kind);
  version.set_file_bytes(static_cast<int64_t>(snapshot.file_bytes));
  version.set_resident_bytes(static_cast<int64_t>(snapshot.resident_bytes));
  version.set_user_count(static_cast<int64_t>(snapshot.shape().num_users));
  version.set_item_count(static_cast<int64_t>(snapshot.shape().num_items));
  SetTime(now, version.mutable_load_time());
}

void VersionHistory::Refused(uint64_t attempt, absl::string_view digest,
                             absl::string_view reason) {
  MutexLock lock(&mutex_);
  Record* record = Find(attempt);
  if (record == nullptr) return;
  record->version.set_state(v1::MODEL_STATE_REFUSED);
  record->version.set_digest(digest.data(), digest.size());
  record->version.set_reason(CleanReason(reason));
}

void VersionHistory::Forget(uint64_t attempt) {
  MutexLock lock(&mutex_);
  records_.erase(std::remove_if(records_.begin(), records_.end(),
                                [&](const Record& record) {
                                  return record.attempt == attempt;
                                }),
                 records_.end());
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

VersionHistory::Record* VersionHistory::Find(uint64_t attempt) {
  // Attempts ascend, and the one that is asked for is nearly always the last.
  const auto it =
      std::find_if(records_.rbegin(), records_.rend(),
                   [&](const Record& r) { return r.attempt == attempt; });
  return it == records_.rend() ? nullptr : &*it;
}

}  // namespace neumf
