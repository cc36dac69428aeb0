#include "checkpoint/publisher_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "absl/time/clock.h"

namespace neumf {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(5);

// Takes no time: whether somebody else has it, or it cannot be had at all, says
// errno.
bool TryLock(int fd) { return flock(fd, LOCK_EX | LOCK_NB) == 0; }

}  // namespace

PublisherLock::PublisherLock(absl::string_view directory,
                             absl::Duration patience)
    : fd_(open(std::string(directory).c_str(),
               O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (fd_ < 0) return;
  const absl::Time deadline = absl::Now() + patience;
  while (!(held_ = TryLock(fd_)) && (errno == EWOULDBLOCK || errno == EINTR) &&
         absl::Now() < deadline) {
    absl::SleepFor(kPause);
  }
}

PublisherLock::~PublisherLock() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace neumf
