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
  is_known_ = true;
  const bool is_changed = !(*read == in_file_);
  if (is_news || is_changed) {
    metrics_->ConfigReloaded(ConfigFile::kServingPolicy, true);
  }
  if (is_changed) {
    in_file_ = *read;
    policy_ = *read;
    for (const uint64_t version : held_) {
      if (version != policy_.pinned) policy_.Refuse(version);
    }
    LogEvent event("policy_changed");
    Describe(policy_, &event);
  }
  TryAgain();
}

void PolicyFile::TryAgain() {
  if (unwritten_.ok()) return;
  const absl::StatusCode told = unwritten_.code();
  Write();
  if (unwritten_.code() != told) Log("");
}

absl::Status PolicyFile::Change(PolicyChange change, absl::string_view caller) {
  Poll();
  const ServingPolicy wanted = change(policy_);
  if (met_.ok() && wanted == in_file_ && wanted == policy_) return met_;
  policy_ = wanted;
  // What the file refuses beside that is not known while it cannot be read.
  is_known_ = is_known_ || met_.ok() || wanted.pinned.has_value();
  if (met_.ok()) {
    Write();
  } else {
    unwritten_ = met_;
    Hold();
  }
  Log(caller);
  return unwritten_;
}

void PolicyFile::Write() {
  unwritten_ = policy_ == in_file_
                   ? absl::OkStatus()
                   : WriteServingPolicy(*files_, directory_, policy_);
  if (unwritten_.ok()) {
    in_file_ = policy_;
    held_.clear();
  } else {
    Hold();
  }
}

// What the file refuses itself is its own to take back.
void PolicyFile::Hold() {
  held_.clear();
  for (const uint64_t version : policy_.refused) {
    if (!in_file_.Refuses(version)) held_.insert(version);
  }
}

void PolicyFile::Log(absl::string_view caller) const {
  LogEvent event("policy_changed");
  Describe(policy_, &event);
  event.With("caller", caller).WithNumber("written", unwritten_.ok());
  if (!unwritten_.ok()) event.With("reason", unwritten_.message());
}

}  // namespace neumf
