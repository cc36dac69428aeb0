#include "server/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

constexpr mode_t kMode = 0640;

absl::Status Error(int error, absl::string_view path) {
  return absl::ErrnoToStatus(error, path);
}

bool SameFile(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace

absl::Status LogFile::Append(absl::string_view line) {
  NEUMF_RETURN_IF_ERROR(Reopen());
  return Write(absl::StrCat(is_torn_ ? "\n" : "", line, "\n"));
}

absl::Status LogFile::Reopen() {
  struct stat named = {};
  struct stat open_file = {};
  if (file_.valid() && stat(path_.c_str(), &named) == 0 &&
      fstat(file_.get(), &open_file) == 0 && SameFile(named, open_file)) {
    return absl::OkStatus();
  }
  // Not to wait for the reader of a pipe.
  UniqueFd file(
      open(path_.c_str(),
           O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
           kMode));
  if (!file.valid()) return Error(errno, path_);
  file_ = std::move(file);
  is_torn_ = false;
  return absl::OkStatus();
}

absl::Status LogFile::Write(absl::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(file_.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Error(errno, path_);
    text.remove_prefix(static_cast<size_t>(written));
    is_torn_ = !text.empty();
  }
  return absl::OkStatus();
}

}  // namespace neumf
