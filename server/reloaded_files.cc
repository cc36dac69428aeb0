#include "server/reloaded_files.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/sha256.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

constexpr uint64_t kMaxFileBytes = 1 << 20;

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
                             FileSystem* files, ServerMetrics* metrics, Use use)
    : kind_(kind),
      paths_(std::move(paths)),
      files_(files),
      metrics_(metrics),
      use_(std::move(use)) {}

absl::StatusOr<std::vector<std::string>> ReloadedFiles::Read() const {
  std::vector<std::string> texts;
  for (const std::string& path : paths_) {
    std::string text;
    if (!path.empty()) {
      NEUMF_ASSIGN_OR_RETURN(text, ReadWholeFile(*files_, path, kMaxFileBytes));
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

void ReloadedFiles::Poll() {
  const auto texts = Read();
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
