#pragma once

// Keeps a checkpoint that crashes the daemon from doing so again and again.
//
// A load is written down before it begins and crossed out when it ends, however
// it does. What a new process finds written down has ended the one before: by
// its own fault, or because somebody killed it meanwhile, which looks the same.
// So the second time counts: then the content, by the digest of its header, is
// not loaded any more, until somebody asks for it by name.
//
//   if (!guard.Begin(digest)) return;  // it has ended two processes
//   ... load ...
//   guard.End(digest);
//
// Belongs to one thread at a time, but for Abandon().

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "server/state_file.h"

namespace neumf {

class CrashGuard {
 public:
  // Remembers nothing without a directory. `files` must outlive this.
  CrashGuard(const std::string& directory, FileSystem* files);

  bool Begin(absl::string_view digest);
  // Nothing happens unless it has begun: what is refused before that says
  // nothing about what a load would do.
  void End(absl::string_view digest);
  // The process ends in the middle of what it has begun because it was told to,
  // and not by the load's fault: that does not count. Any thread; nothing
  // begins after it.
  void Abandon();
  // Lets it be loaded again.
  void Forgive(absl::string_view digest);

 private:
  void Read() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Write() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Drop(absl::string_view digest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Null for those that are not known.
  int* Find(absl::string_view digest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  StateFile file_ ABSL_GUARDED_BY(mutex_);
  // Digests, and how many loads began that did not end; the newest last.
  std::vector<std::pair<std::string, int>> loads_ ABSL_GUARDED_BY(mutex_);
  // What this process has begun.
  std::string running_ ABSL_GUARDED_BY(mutex_);
  bool abandoned_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace neumf
