#pragma once

// Items and users that must not be in answers, from two files that are read
// again when they change (blocked_ids.h).
//
// They are kept by id, since rows mean nothing in another snapshot. A new
// snapshot has its rows looked up by its loader, before anybody can serve it; a
// changed file has those of all living snapshots looked up: the served one,
// those kept for a rollback, and those that calls still hold. A lock makes one
// of them the last, so that no snapshot misses a change; requests never wait
// for it.
//
//   Takedowns takedowns(paths, files, metrics);
//   NEUMF_RETURN_IF_ERROR(takedowns.Load());
//   ... of each snapshot: takedowns.ApplyTo(snapshot);
//   ... several times a second: takedowns.Poll();

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "model/id_table.h"
#include "server/blocked_rows.h"
#include "server/reloaded_files.h"
#include "server/server_metrics.h"
#include "server/snapshot.h"

namespace neumf {

class Takedowns {
 public:
  // Empty: nothing of the kind is blocked.
  struct Paths {
    std::string items;
    std::string users;
  };

  // The pointers must outlive this.
  Takedowns(const Paths& paths, FileSystem* files, ServerMetrics* metrics);

  bool enabled() const { return !lists_.empty(); }

  // The first time. INVALID_ARGUMENT and the errors of files name the flag.
  absl::Status Load();
  // Takes files over that have changed; one that is broken or gone leaves what
  // it said in force. From one thread.
  void Poll();

  // Blocks the rows of what the files say, now and whenever they change, as
  // long as the snapshot lives. Any thread. REQUIRES: it is not served yet.
  void ApplyTo(const Snapshot& snapshot);

 private:
  // One of the files.
  struct List {
    const char* flag = nullptr;
    std::unique_ptr<ReloadedFiles> file;  // Poll()'s
  };
  // A snapshot's parts; it is dead once they have gone.
  struct Entry {
    uint64_t version = 0;
    std::weak_ptr<BlockedRowsHolder> blocked;
    std::weak_ptr<const IdTable> item_ids;
    std::weak_ptr<const IdTable> user_ids;
  };
  using Ids = std::vector<std::string>;

  void AddList(const char* flag, ConfigFile kind, const std::string& path,
               FileSystem* files, Ids* ids);
  absl::Status Use(const std::string& text, Ids* ids);
  void LookUp(const Entry& entry) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  ServerMetrics* const metrics_;
  std::vector<List> lists_;

  Mutex mutex_;
  Ids items_ ABSL_GUARDED_BY(mutex_);
  Ids users_ ABSL_GUARDED_BY(mutex_);
  std::vector<Entry> snapshots_ ABSL_GUARDED_BY(mutex_);  // oldest first
};

}  // namespace neumf
