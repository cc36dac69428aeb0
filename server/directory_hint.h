#pragma once

// Says at once that a checkpoint directory may hold something new, so that the
// next poll need not be waited for.
//
// It is a hint: inotify says nothing about what other machines do on a network
// file system, nor may there be any of it left. Whoever listens polls as well.
// What counts is what is whole: a file that got its name by a rename or was
// closed by its writer, a link, the `..data` by which Kubernetes swaps a
// volume, the end of the directory itself; and an overflow, after which
// anything may have happened.
//
//   DirectoryHint hint(directory, [&] { watcher.Wake(); });
//   hint.Watch();  // before each look: a change after it wakes the next one
//
// Watch() belongs to one thread.

#include <functional>
#include <string>
#include <thread>

#include "server/unique_fd.h"

struct inotify_event;

namespace neumf {

class DirectoryHint {
 public:
  // `on_change` is called by a thread of its own and must not block. Where the
  // system has no inotify or thread left, the log says so and it is never
  // called.
  DirectoryHint(std::string directory, std::function<void()> on_change);
  // Returns when the thread has ended.
  ~DirectoryHint();
  DirectoryHint(const DirectoryHint&) = delete;
  DirectoryHint& operator=(const DirectoryHint&) = delete;

  // Watches what has the directory's name now: it may be another one than
  // before, or none.
  void Watch();

 private:
  void Run();
  bool WaitForEvents();
  // Takes all that wait; whether one of them is a change.
  bool TakeEvents();
  bool IsChange(const inotify_event& event) const;

  const std::string directory_;
  const std::function<void()> on_change_;
  const UniqueFd inotify_;
  const UniqueFd stop_;
  int watch_ = -1;
  std::thread thread_;
};

}  // namespace neumf
