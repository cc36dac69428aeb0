#pragma once

// serving.json as one daemon obeys it.
//
// What the file says is in force from the next poll on. One that cannot be read
// or understood changes nothing; the log and a metric say so once.
//
// A change of our own is in force at once and written to the file. Where that
// fails, as on a disk that is full, this daemon holds it on its own and tries
// again at each poll: the change until the file says something new, and what it
// refuses as long as the daemon runs or until that version is pinned. A file that
// cannot be read is not replaced, since what it refuses for the fleet would be
// lost: the change is held likewise until it can be read again. When the file
// says something new by then, only what the change refuses is added to it.
//
// Belongs to whichever one thread polls for checkpoints.

#include <set>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/file_system.h"
#include "checkpoint/serving_policy.h"
#include "server/server_metrics.h"

namespace neumf {

// From the policy in force to the one that is wanted.
using PolicyChange = absl::FunctionRef<ServingPolicy(const ServingPolicy&)>;

class PolicyFile {
 public:
  // `files` and `metrics` must outlive this.
  PolicyFile(std::string directory, FileSystem* files, ServerMetrics* metrics);

  // Obeys the file.
  void Poll();
  // Polls, so that nothing that others wrote meanwhile is lost, and puts what
  // `change` makes of that policy in force. `caller` is who asked for it. An
  // error says why it could not be written.
  absl::Status Change(PolicyChange change, absl::string_view caller);

  const ServingPolicy& policy() const { return policy_; }
  // Whether the policy is somebody's word: the file was understood or absent
  // once, or Change() was called. Before that nobody knows what is refused.
  bool is_known() const { return is_known_; }
  // What the last look at the file met.
  const absl::Status& met() const { return met_; }

 private:
  // Puts policy_ into the file, which was read just now, unless it says the
  // same; unwritten_ says how that went.
  void Write();
  // Writes what could not be written before. Tells what is new only.
  void TryAgain();
  void Hold();
  void Log(absl::string_view caller) const;

  const std::string directory_;
  FileSystem* const files_;
  ServerMetrics* const metrics_;

  ServingPolicy policy_;
  ServingPolicy in_file_;  // when it was last understood
  absl::Status met_;       // by the last look at it
  bool is_known_ = false;
  absl::Status unwritten_;   // why a change of ours is not in the file
  std::set<uint64_t> held_;  // what we refuse and could not write
};

}  // namespace neumf
