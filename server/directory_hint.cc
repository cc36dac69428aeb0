#include "server/directory_hint.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <system_error>
#include <utility>

#include "absl/strings/string_view.h"
#include "base/file_system.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "checkpoint/checkpoint_directory.h"
#include "checkpoint/serving_policy.h"

namespace neumf {
namespace {

// Without IN_MODIFY, or each write of a long copy would be an event.
constexpr uint32_t kEvents = IN_MOVED_TO | IN_CLOSE_WRITE | IN_CREATE |
                             IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
// What Kubernetes renames when all files of a volume change.
constexpr char kVolumeLink[] = "..data";

bool IsLink(const std::string& path) {
  struct stat status;
  return lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode);
}

}  // namespace

DirectoryHint::DirectoryHint(std::string directory,
                             std::function<void()> on_change)
    : directory_(std::move(directory)),
      on_change_(std::move(on_change)),
      inotify_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)),
      stop_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!inotify_.valid() || !stop_.valid()) {
    LogEvent("inotify_unavailable")
        .With("reason", ErrnoStatus(errno, "inotify").message());
    return;
  }
  try {
    thread_ = std::thread([this] { Run(); });
  } catch (const std::system_error& error) {
    LogEvent("inotify_unavailable").With("reason", error.what());
  }
}

DirectoryHint::~DirectoryHint() {
  if (!thread_.joinable()) return;
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

// Adding the directory that is watched already changes nothing, and gives the
// same number: no need to know what became of it.
void DirectoryHint::Watch() {
  if (!thread_.joinable()) return;
  const int previous = std::exchange(
      watch_, inotify_add_watch(inotify_.get(), directory_.c_str(), kEvents));
  // Fails if that directory is gone, which is as well.
  if (previous != watch_ && previous >= 0) {
    inotify_rm_watch(inotify_.get(), previous);
  }
}

void DirectoryHint::Run() {
  SetThreadName("ckpt-hint");
  while (WaitForEvents()) {
    if (TakeEvents()) on_change_();
  }
}

bool DirectoryHint::WaitForEvents() {
  std::array<pollfd, 2> sources = {
      {{inotify_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
  while (poll(sources.data(), sources.size(), /*timeout=*/-1) < 0) {
    if (errno != EINTR) return false;
  }
  return sources[1].revents == 0;
}

bool DirectoryHint::TakeEvents() {
  alignas(inotify_event) std::array<char, 4096> buffer;
  bool changed = false;
  ssize_t size;
  while ((size = read(inotify_.get(), buffer.data(), buffer.size())) > 0) {
    for (size_t at = 0; at < static_cast<size_t>(size);) {
      const auto* event =
          reinterpret_cast<const inotify_event*>(buffer.data() + at);
      changed = IsChange(*event) || changed;
      at += sizeof(inotify_event) + event->len;
    }
  }
  return changed;
}

bool DirectoryHint::IsChange(const inotify_event& event) const {
  constexpr uint32_t kOfAll = IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF;
  if ((event.mask & kOfAll) != 0) return true;
  if (event.len == 0) return false;  // IN_IGNORED: we let go of it
  const absl::string_view name(event.name);
  if (name != kVolumeLink && name != kServingPolicyFile &&
      !ParseVersionFileName(name).has_value()) {
    return false;
  }
  // Whoever has just created a file is about to write it.
  return (event.mask & IN_CREATE) == 0 || IsLink(JoinPath(directory_, name));
}

}  // namespace neumf
