#pragma once

// A small file of --state_dir: what a daemon remembers over its own end.
//
// It is a help, never a need: one that cannot be read is as if it were not
// there, one that cannot be written costs what it would have said, and the log
// tells it, once until it works again. Replaced as a whole and synced, so that
// a crash leaves the old or the new content.
//
// Belongs to one thread at a time.

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/file_system.h"

namespace neumf {

class StateFile {
 public:
  // Without a directory nothing is remembered. `files` must outlive this.
  StateFile(std::string directory, std::string name, FileSystem* files);

  // Empty when there is none.
  std::string Read();
  // False when it may be gone after a crash.
  bool Write(absl::string_view content);

 private:
  // Logs what is news.
  void Met(const absl::Status& status);

  const std::string directory_;
  const std::string name_;
  FileSystem* const files_;
  absl::Status met_;  // by the last call
};

}  // namespace neumf
