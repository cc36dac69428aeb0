#include "checkpoint/checkpoint_directory.h"

#include <unistd.h>

#include <algorithm>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

constexpr char kSuffix[] = ".safetensors";
constexpr char kTemporaryPrefix[] = ".tmp-";
constexpr size_t kMaxDigits = 18;

}  // namespace

std::optional<uint64_t> ParseVersionFileName(absl::string_view name) {
  if (!absl::ConsumeSuffix(&name, kSuffix)) return std::nullopt;
  const bool digits_only = std::all_of(
      name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (name.empty() || name.size() > kMaxDigits || name[0] == '0' ||
      !digits_only) {
    return std::nullopt;
  }
  uint64_t version = 0;
  if (!absl::SimpleAtoi(name, &version)) return std::nullopt;
  return version;
}

std::string VersionFileName(uint64_t version) {
  return absl::StrCat(version, kSuffix);
}

std::string TemporaryCheckpointName() {
  std::random_device random;
  return absl::StrCat(kTemporaryPrefix, getpid(), "-", absl::Hex(random()),
                      kSuffix);
}

bool IsTemporaryCheckpointName(absl::string_view name) {
  return absl::StartsWith(name, kTemporaryPrefix) &&
         absl::EndsWith(name, kSuffix);
}

absl::StatusOr<std::vector<CheckpointFile>> ListCheckpoints(
    FileSystem& files, absl::string_view directory) {
  NEUMF_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                         files.ListDirectory(directory));
  std::vector<CheckpointFile> checkpoints;
  for (const std::string& name : names) {
    const std::optional<uint64_t> version = ParseVersionFileName(name);
    if (!version.has_value()) continue;
    checkpoints.push_back({*version, JoinPath(directory, name)});
  }
  std::sort(checkpoints.begin(), checkpoints.end(),
            [](const CheckpointFile& a, const CheckpointFile& b) {
              return a.version < b.version;
            });
  return checkpoints;
}

}  // namespace neumf
