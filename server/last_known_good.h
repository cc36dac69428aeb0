#pragma once

// Which version has served for long enough to be trusted: what a start goes
// back to when the largest version cannot be served.
//
// Belongs to one thread at a time.

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "server/snapshot.h"
#include "server/state_file.h"

namespace neumf {

class LastKnownGood {
 public:
  // After so long without a crash a version is good.
  static constexpr absl::Duration kProbation = absl::Seconds(60);

  // Remembers nothing beyond the process without a directory. `files` and
  // `clock` must outlive this.
  LastKnownGood(const std::string& directory, FileSystem* files,
                const Clock* clock);

  // Of this process or the one before; 0: none is known.
  uint64_t version() const { return good_.version; }

  // To be called again and again with what is served, null for nothing.
  void Look(const Snapshot* served);

 private:
  struct Identity {
    uint64_t version = 0;
    std::string digest;  // of the header

    friend bool operator==(const Identity& a, const Identity& b) {
      return a.version == b.version && a.digest == b.digest;
    }
  };
  static Identity Parse(absl::string_view text);

  const Clock* const clock_;
  StateFile file_;
  Identity good_;
  Identity served_;
  absl::Duration served_since_ = absl::ZeroDuration();
  bool is_written_ = false;  // as good_
};

}  // namespace neumf
