#pragma once

// Files of the configuration that may change while the daemon runs: together
// they are one state, which is taken over as a whole or not at all.
//
//   ReloadedFiles tokens(ConfigFile::kAuthTokens, {path}, files, metrics,
//                        [this](const auto& texts) { return Use(texts[0]); });
//   NEUMF_RETURN_IF_ERROR(tokens.Load());
//   ... now and then: tokens.Poll();
//
// They are read at each poll: what a file system says of a file that was
// written in place can be the same before and after, and they are small. Those
// that may be large are read when that changes, and for some polls after it: as
// long as another change could fall on the same tick of the file's clock.
// Belongs to one thread.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "server/server_metrics.h"

namespace neumf {

class ReloadedFiles {
 public:
  // Takes the content of all files over, or says why it cannot and changes
  // nothing.
  using Use = std::function<absl::Status(const std::vector<std::string>&)>;

  // Of each file. More makes them large.
  static constexpr uint64_t kSmallBytes = 1 << 20;
  // Polls after a change that read large files again.
  static constexpr int kUnsettledPolls = 15;

  // An empty path is a file without content. `files` and `metrics` must outlive
  // this.
  ReloadedFiles(ConfigFile kind, std::vector<std::string> paths,
                FileSystem* files, ServerMetrics* metrics, Use use,
                uint64_t max_file_bytes = kSmallBytes);

  // The first time; the error is the caller's to report.
  absl::Status Load();

  // Takes over what has changed. A failure is logged and counted once, until
  // the files change again.
  void Poll();

 private:
  absl::StatusOr<std::vector<std::string>> Read() const;
  bool MayHaveChanged();

  const ConfigFile kind_;
  const std::vector<std::string> paths_;
  FileSystem* const files_;
  ServerMetrics* const metrics_;
  const Use use_;
  const uint64_t max_file_bytes_;
  // Digest of what the last attempt met, content or error: keys stay nowhere.
  std::string met_;
  // Of large files: how they looked in the last poll, and since how many polls.
  std::vector<FileInfo> looks_;
  int num_same_looks_ = 0;
};

}  // namespace neumf
