#include "base/available_memory.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace neumf {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

// Where a version of cgroups keeps its numbers.
struct CgroupFiles {
  const char* mount;
  const char* limit;
  const char* usage;
  std::vector<absl::string_view> file_pages;  // keys of memory.stat
};

CgroupFiles VersionTwo() {
  return {"sys/fs/cgroup",
          "memory.max",
          "memory.current",
          {"inactive_file", "active_file"}};
}

CgroupFiles VersionOne() {
  return {"sys/fs/cgroup/memory",
          "memory.limit_in_bytes",
          "memory.usage_in_bytes",
          {"total_inactive_file", "total_active_file"}};
}

// Nothing when there is no such file, or it says "max".
std::optional<uint64_t> ReadNumber(const fs::path& path) {
  std::ifstream file(path);
  uint64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;
}

// MemAvailable counts file pages as free, too.
uint64_t LeftOnMachine(const fs::path& root) {
  std::ifstream file(root / "proc/meminfo");
  std::string key;
  while (file >> key) {
    uint64_t kibibytes = 0;
    if (key == "MemAvailable:" && file >> kibibytes) return kibibytes << 10;
    std::getline(file, key);
  }
  return kNoLimit;
}

// What the kernel would drop before it refused memory. A cgroup's usage has
// these pages in it: a daemon that has read large files would seem full.
uint64_t FilePages(const fs::path& group, const CgroupFiles& files) {
  std::ifstream stat(group / "memory.stat");
  uint64_t bytes = 0;
  std::string key;
  uint64_t value = 0;
  while (stat >> key >> value) {
    const bool counts =
        std::find(files.file_pages.begin(), files.file_pages.end(), key) !=
        files.file_pages.end();
    if (counts) bytes += value;
  }
  return bytes;
}

uint64_t LeftInGroup(const fs::path& group, const CgroupFiles& files) {
  const auto limit = ReadNumber(group / files.limit);
  const auto usage = ReadNumber(group / files.usage);
  if (!limit.has_value() || !usage.has_value()) return kNoLimit;
  const uint64_t used = *usage - std::min(*usage, FilePages(group, files));
  return *limit - std::min(*limit, used);
}

// Of the group and all above it, whose limits bind as well. In a container the
// name may be that outside of it; then only the topmost is there.
uint64_t LeftInGroups(const fs::path& root, const std::string& name,
                      const CgroupFiles& files) {
  uint64_t least = kNoLimit;
  fs::path group = name;
  for (;;) {
    const fs::path folder = root / files.mount / group.relative_path();
    least = std::min(least, LeftInGroup(folder, files));
    if (!group.has_relative_path()) return least;
    group = group.parent_path();
  }
}

uint64_t LeftInCgroups(const fs::path& root) {
  std::ifstream file(root / "proc/self/cgroup");
  uint64_t least = kNoLimit;
  std::string line;  // "number:controllers:name"
  while (std::getline(file, line)) {
    const std::vector<std::string> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    const std::vector<absl::string_view> controllers =
        absl::StrSplit(parts[1], ',');
    const bool memory = std::find(controllers.begin(), controllers.end(),
                                  "memory") != controllers.end();
    if (memory) {
      least = std::min(least, LeftInGroups(root, parts[2], VersionOne()));
    } else if (parts[0] == "0") {
      least = std::min(least, LeftInGroups(root, parts[2], VersionTwo()));
    }
  }
  return least;
}

}  // namespace

uint64_t AvailableMemoryBytes(const std::string& root) {
  return std::min(LeftOnMachine(root), LeftInCgroups(root));
}

}  // namespace neumf
