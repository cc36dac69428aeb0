#include "server/state_file.h"

#include <cstdint>
#include <utility>

#include "base/logging.h"

namespace neumf {
namespace {

constexpr uint64_t kMaxBytes = 64 << 10;

}  // namespace

StateFile::StateFile(std::string directory, std::string name, FileSystem* files)
    : directory_(std::move(directory)), name_(std::move(name)), files_(files) {}

std::string StateFile::Read() {
  if (directory_.empty()) return "";
  auto content = ReadWholeFile(*files_, JoinPath(directory_, name_), kMaxBytes);
  if (content.ok()) return *std::move(content);
  if (!absl::IsNotFound(content.status())) Met(content.status());
  return "";
}

bool StateFile::Write(absl::string_view content) {
  if (directory_.empty()) return false;
  absl::Status written = files_->CreateDirectories(directory_);
  if (written.ok()) {
    written =
        WriteFileAtomically(*files_, JoinPath(directory_, name_), content);
  }
  Met(written);
  return written.ok();
}

void StateFile::Met(const absl::Status& status) {
  if (!status.ok() && met_.ok()) {
    LogEvent("state_file_failed")
        .With("file", name_)
        .With("reason", status.message());
  }
  met_ = status;
}

}  // namespace neumf
