#pragma once

// Keeps other publishers of a directory waiting while one takes a number or
// removes old versions. Without it a publisher that stood still between its
// look at the directory and its rename could take a number that others have
// used and removed meanwhile.
//
// What must never happen does not rest on it: a rename replaces nothing, and
// the newest versions are not removed. So it is tried for a while only, a
// publisher that hangs holds nobody up, and file systems that cannot lock
// (some network mounts) do without. A process that dies gives its lock back.
//
// Belongs to one thread; never held while a checkpoint is written.

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace neumf {

class PublisherLock {
 public:
  // Waits up to `patience` for `directory`, a real one.
  explicit PublisherLock(absl::string_view directory,
                         absl::Duration patience = absl::Seconds(10));
  ~PublisherLock();
  PublisherLock(const PublisherLock&) = delete;
  PublisherLock& operator=(const PublisherLock&) = delete;

  bool held() const { return held_; }

 private:
  const int fd_;
  bool held_ = false;
};

}  // namespace neumf
