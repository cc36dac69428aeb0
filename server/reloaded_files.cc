#include "server/reloaded_files.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/sha256.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

std::string Fingerprint(const absl::StatusOr<std::vector<std::string>>& texts) {
  if (!texts.ok()) return texts.status().ToString();
  std::string digests;
  for (const std::string& text : *texts) {
    absl::StrAppend(&digests, ToHex(Sha256Of(text)));
  }
  return digests;
}

}  // namespace

ReloadedFiles::ReloadedFiles(ConfigFile kind, std::vector<std::string> paths,
                             FileSystem* files, ServerMetrics* metrics, Use use,
                             uint64_t max_file_bytes)
    : kind_(kind),
      paths_(std::move(paths)),
      files_(files),
      metrics_(metrics),
      use_(std::move(use)),
      max_file_bytes_(max_file_bytes) {}

absl::StatusOr<std::vector<std::string>> ReloadedFiles::Read() const {
  std::vector<std::string> texts;
  for (const std::string& path : paths_) {
    std::string text;
    if (!path.empty()) {
      NEUMF_ASSIGN_OR_RETURN(text,
                             ReadWholeFile(*files_, path, max_file_bytes_));
    }
    texts.push_back(std::move(text));
  }
  return texts;
}

absl::Status ReloadedFiles::Load() {
  const auto texts = Read();
  met_ = Fingerprint(texts);
  return texts.ok() ? use_(*texts) : texts.status();
}

bool ReloadedFiles::MayHaveChanged() {
  if (max_file_bytes_ <= kSmallBytes) return true;
  std::vector<FileInfo> looks;
  for (const std::string& path : paths_) {
    if (path.empty()) continue;
    const absl::StatusOr<FileInfo> info = files_->Stat(path);
    if (!info.ok()) {
      // Nor does anything tell when it can be read again: read() has to.
      num_same_looks_ = 0;
      return true;
    }
    looks.push_back(*info);
  }
  num_same_looks_ = looks == looks_ ? num_same_looks_ + 1 : 0;
  looks_ = std::move(looks);
  return num_same_looks_ <= kUnsettledPolls;
}

void ReloadedFiles::Poll() {
  if (!MayHaveChanged()) return;
  const auto texts = Read();
  // What cannot be read is tried until it can.
  if (!texts.ok()) num_same_looks_ = 0;
  std::string met = Fingerprint(texts);
  if (met == met_) return;
  met_ = std::move(met);
  const absl::Status used = texts.ok() ? use_(*texts) : texts.status();
  metrics_->ConfigReloaded(kind_, used.ok());
  LogEvent event(used.ok() ? "config_reloaded" : "config_refused");
  event.With("file", ConfigFileName(kind_));
  if (!used.ok()) event.With("reason", used.message());
}

}  // namespace neumf
