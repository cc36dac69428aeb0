#include "server/loaded_versions.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace neumf {

void LoadedVersions::Serve(LoadedVersion next, bool keep_previous) {
  const uint64_t version = next.snapshot->version;
  MutexLock lock(&mutex_);
  const bool was_unloaded = served_.snapshot == nullptr;
  if (!was_unloaded || !keep_previous || unloaded_ == version) unloaded_ = 0;
  std::swap(served_, next);
  if (keep_previous && next.snapshot != nullptr) {
    standbys_.push_front(std::move(next));
  }
  standbys_.erase(std::remove_if(standbys_.begin(), standbys_.end(),
                                 [&](const LoadedVersion& standby) {
                                   return standby.snapshot->version == version;
                                 }),
                  standbys_.end());
  while (standbys_.size() > max_standbys_) standbys_.pop_back();
}

LoadedVersion LoadedVersions::served() const {
  MutexLock lock(&mutex_);
  return served_;
}

LoadedVersion LoadedVersions::LastStandby() const {
  MutexLock lock(&mutex_);
  return standbys_.empty() ? LoadedVersion() : standbys_.front();
}

LoadedVersion LoadedVersions::FindStandby(uint64_t version) const {
  MutexLock lock(&mutex_);
  for (const LoadedVersion& standby : standbys_) {
    if (standby.snapshot->version == version) return standby;
  }
  return {};
}

bool LoadedVersions::DropStandbys() {
  std::deque<LoadedVersion> dropped;  // let go of outside the lock
  MutexLock lock(&mutex_);
  dropped.swap(standbys_);
  return !dropped.empty();
}

std::vector<uint64_t> LoadedVersions::DropStandbysIf(
    absl::FunctionRef<bool(uint64_t version)> is_meant) {
  std::vector<uint64_t> versions;
  std::deque<LoadedVersion> dropped;  // let go of outside the lock
  MutexLock lock(&mutex_);
  const auto kept_end = std::stable_partition(
      standbys_.begin(), standbys_.end(), [&](const LoadedVersion& standby) {
        return !is_meant(standby.snapshot->version);
      });
  dropped.assign(std::make_move_iterator(kept_end),
                 std::make_move_iterator(standbys_.end()));
  standbys_.erase(kept_end, standbys_.end());
  for (const LoadedVersion& standby : dropped) {
    versions.push_back(standby.snapshot->version);
  }
  return versions;
}

void LoadedVersions::Unload() {
  DropStandbys();
  LoadedVersion dropped;  // let go of outside the lock
  MutexLock lock(&mutex_);
  if (served_.snapshot != nullptr) unloaded_ = served_.snapshot->version;
  std::swap(served_, dropped);
}

uint64_t LoadedVersions::unloaded() const {
  MutexLock lock(&mutex_);
  return unloaded_;
}

std::vector<uint64_t> LoadedVersions::standby_attempts() const {
  std::vector<uint64_t> attempts;
  MutexLock lock(&mutex_);
  for (const LoadedVersion& standby : standbys_) {
    attempts.push_back(standby.attempt);
  }
  return attempts;
}

}  // namespace neumf
