#include "server/policy_file.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/logging.h"

namespace neumf {
namespace {

// As many as a line of the log has room for.
constexpr size_t kMaxRefusedTold = 20;

void Describe(const ServingPolicy& policy, LogEvent* event) {
  event->With("serve", policy.pinned.has_value() ? absl::StrCat(*policy.pinned)
                                                 : "largest");
  std::vector<uint64_t> largest(policy.refused.rbegin(), policy.refused.rend());
  if (largest.size() > kMaxRefusedTold) largest.resize(kMaxRefusedTold);
  event->With("refuse", absl::StrJoin(largest, ","));
}

}  // namespace

PolicyFile::PolicyFile(std::string directory, FileSystem* files,
                       ServerMetrics* metrics)
    : directory_(std::move(directory)), files_(files), metrics_(metrics) {}

void PolicyFile::Poll() {
  const auto read = ReadServingPolicy(*files_, directory_);
  const bool is_news = read.status() != met_;
  met_ = read.status();
  if (!read.ok()) {
    if (!is_news) return;
    metrics_->ConfigReloaded(ConfigFile::kServingPolicy, false);
    LogEvent("config_refused")
        .With("file", ConfigFileName(ConfigFile::kServingPolicy))
        .With("reason", read.status().message());
    return;
  }
  if (is_news || !(*read == in_file_)) {
    metrics_->ConfigReloaded(ConfigFile::kServingPolicy, true);
  }
  if (*read == in_file_) return;
  in_file_ = *read;
  policy_ = *read;
  for (const uint64_t version : held_) {
    if (version != policy_.pinned) policy_.Refuse(version);
  }
  LogEvent event("policy_changed");
  Describe(policy_, &event);
}

absl::Status PolicyFile::Change(const ServingPolicy& wanted,
                                absl::string_view caller) {
  if (met_.ok() && wanted == in_file_ && wanted == policy_) return met_;
  policy_ = wanted;
  const absl::Status written = WriteServingPolicy(*files_, directory_, policy_);
  if (written.ok()) {
    in_file_ = policy_;
    held_.clear();
  } else {
    held_ = policy_.refused;
  }
  LogEvent event("policy_changed");
  Describe(policy_, &event);
  event.With("caller", caller).WithNumber("written", written.ok());
  if (!written.ok()) event.With("reason", written.message());
  return written;
}

}  // namespace neumf
