#include "server/crash_guard.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace neumf {
namespace {

constexpr int kMostCrashes = 2;
// Of files that may be gone by now.
constexpr size_t kMaxRemembered = 100;

}  // namespace

CrashGuard::CrashGuard(const std::string& directory, FileSystem* files)
    : file_(directory, "unfinished_loads", files) {
  MutexLock lock(&mutex_);
  Read();
}

bool CrashGuard::Begin(absl::string_view digest) {
  MutexLock lock(&mutex_);
  if (abandoned_) return true;          // the process is at its end
  if (running_ == digest) return true;  // another try within one load
  int* begun = Find(digest);
  if (begun == nullptr) {
    if (loads_.size() == kMaxRemembered) loads_.erase(loads_.begin());
    begun = &loads_.emplace_back(std::string(digest), 0).second;
  }
  if (*begun >= kMostCrashes) return false;
  ++*begun;
  running_ = std::string(digest);
  Write();
  return true;
}

void CrashGuard::End(absl::string_view digest) {
  MutexLock lock(&mutex_);
  if (running_ != digest) return;
  running_.clear();
  Drop(digest);
}

void CrashGuard::Abandon() {
  MutexLock lock(&mutex_);
  abandoned_ = true;
  int* const begun = running_.empty() ? nullptr : Find(running_);
  if (begun == nullptr) return;
  if (--*begun == 0) return Drop(running_);
  Write();
}

void CrashGuard::Forgive(absl::string_view digest) {
  MutexLock lock(&mutex_);
  Drop(digest);
}

void CrashGuard::Drop(absl::string_view digest) {
  const auto end =
      std::remove_if(loads_.begin(), loads_.end(),
                     [&](const auto& load) { return load.first == digest; });
  if (end == loads_.end()) return;
  loads_.erase(end, loads_.end());
  Write();
}

// Lines that make no sense are left out: at worst a load is tried once more.
void CrashGuard::Read() {
  for (const absl::string_view line : absl::StrSplit(file_.Read(), '\n')) {
    const std::pair<absl::string_view, absl::string_view> fields =
        absl::StrSplit(line, absl::MaxSplits(' ', 1));
    int begun = 0;
    if (!absl::SimpleAtoi(fields.second, &begun) || begun < 1) continue;
    if (loads_.size() < kMaxRemembered) {
      loads_.emplace_back(std::string(fields.first), begun);
    }
  }
}

void CrashGuard::Write() {
  std::string text;
  for (const auto& [digest, begun] : loads_) {
    absl::StrAppend(&text, digest, " ", begun, "\n");
  }
  file_.Write(text);
}

int* CrashGuard::Find(absl::string_view digest) {
  const auto it =
      std::find_if(loads_.begin(), loads_.end(),
                   [&](const auto& load) { return load.first == digest; });
  return it == loads_.end() ? nullptr : &it->second;
}

}  // namespace neumf
