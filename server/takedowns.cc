#include "server/takedowns.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/logging.h"
#include "base/status_macros.h"
#include "server/blocked_ids.h"

namespace neumf {
namespace {

// A million ids of 64 bytes.
constexpr uint64_t kMaxFileBytes = 64 << 20;

}  // namespace

Takedowns::Takedowns(const Paths& paths, FileSystem* files,
                     ServerMetrics* metrics)
    : metrics_(metrics) {
  AddList("--blocked_items_file", ConfigFile::kBlockedItems, paths.items, files,
          &items_);
  AddList("--blocked_users_file", ConfigFile::kBlockedUsers, paths.users, files,
          &users_);
}

void Takedowns::AddList(const char* flag, ConfigFile kind,
                        const std::string& path, FileSystem* files, Ids* ids) {
  if (path.empty()) return;
  lists_.push_back(
      {flag, std::make_unique<ReloadedFiles>(
                 kind, std::vector<std::string>{path}, files, metrics_,
                 [this, ids](const auto& texts) { return Use(texts[0], ids); },
                 kMaxFileBytes)});
}

absl::Status Takedowns::Load() {
  for (const List& list : lists_) {
    NEUMF_RETURN_IF_ERROR(Annotate(list.file->Load(), list.flag));
  }
  return absl::OkStatus();
}

void Takedowns::Poll() {
  for (const List& list : lists_) list.file->Poll();
}

absl::Status Takedowns::Use(const std::string& text, Ids* ids) {
  NEUMF_ASSIGN_OR_RETURN(Ids parsed, ParseBlockedIds(text));
  // The old ones go after the lock.
  MutexLock lock(&mutex_);
  ids->swap(parsed);
  metrics_->SetBlocked(items_.size(), users_.size());
  // What is served is among the newest.
  for (auto entry = snapshots_.rbegin(); entry != snapshots_.rend(); ++entry) {
    LookUp(*entry);
  }
  return absl::OkStatus();
}

void Takedowns::ApplyTo(const Snapshot& snapshot) {
  if (!enabled()) return;
  MutexLock lock(&mutex_);
  const auto dead = [](const Entry& entry) { return entry.blocked.expired(); };
  snapshots_.erase(std::remove_if(snapshots_.begin(), snapshots_.end(), dead),
                   snapshots_.end());
  snapshots_.push_back({snapshot.version, snapshot.blocked, snapshot.item_ids,
                        snapshot.user_ids});
  LookUp(snapshots_.back());
}

void Takedowns::LookUp(const Entry& entry) const {
  const auto blocked = entry.blocked.lock();
  const auto item_ids = entry.item_ids.lock();
  const auto user_ids = entry.user_ids.lock();
  if (!blocked || !item_ids || !user_ids) return;
  auto rows = std::make_shared<BlockedRows>();
  for (const std::string& id : items_) {
    const std::optional<uint32_t> row = item_ids->Find(id);
    if (!row.has_value()) continue;
    if (!rows->allowed_items.has_value()) {
      rows->allowed_items = ItemMask::All(item_ids->size());
    }
    rows->allowed_items->Clear(*row);
    ++rows->num_items;
  }
  for (const std::string& id : users_) {
    const std::optional<uint32_t> row = user_ids->Find(id);
    if (row.has_value()) rows->users.insert(*row);
  }
  LogEvent("takedowns_in_force")
      .WithNumber("version", entry.version)
      .WithNumber("items", rows->num_items)
      .WithNumber("users", rows->users.size());
  blocked->Set(std::move(rows));
}

}  // namespace neumf
