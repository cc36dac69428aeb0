#include "base/available_memory.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace neumf {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

// Where a version of cgroups keeps its numbers.
struct CgroupFiles {
  const char* mount;
  std::vector<const char*> limits;
  const char* usage;
  std::vector<absl::string_view> file_pages;  // keys of memory.stat
};

CgroupFiles VersionTwo() {
  return {
      "sys/fs/cgroup",
      // Beyond the second the kernel slows a group down until it hardly runs.
      {"memory.max", "memory.high"},
      "memory.current",
      {"inactive_file", "active_file"}};
}

CgroupFiles VersionOne() {
  return {"sys/fs/cgroup/memory",
          {"memory.limit_in_bytes"},
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

// The number of kB that follows `key`, colon included, in a file of /proc.
std::optional<uint64_t> ReadKibibytes(const fs::path& path,
                                      absl::string_view key) {
  std::ifstream file(path);
  std::string word;
  while (file >> word) {
    uint64_t kibibytes = 0;
    if (word == key && file >> kibibytes) return kibibytes << 10;
    std::getline(file, word);
  }
  return std::nullopt;
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

// Keeps the tightest of several limits.
class Tightest {
 public:
  void Add(uint64_t left, const std::string& limit) {
    if (left < found_.bytes) found_ = {left, limit};
  }
  void Add(uint64_t limit_bytes, uint64_t used, const std::string& limit) {
    Add(limit_bytes - std::min(limit_bytes, used), limit);
  }
  const AvailableMemory& found() const { return found_; }

 private:
  AvailableMemory found_ = {kNoLimit, ""};
};

// MemAvailable counts file pages as free, too.
void AddMachine(const fs::path& root, Tightest* tightest) {
  const auto left = ReadKibibytes(root / "proc/meminfo", "MemAvailable:");
  if (left.has_value()) tightest->Add(*left, "MemAvailable");
}

void AddGroup(const fs::path& folder, const fs::path& group,
              const CgroupFiles& files, Tightest* tightest) {
  const auto usage = ReadNumber(folder / files.usage);
  if (!usage.has_value()) return;
  const uint64_t used = *usage - std::min(*usage, FilePages(folder, files));
  for (const char* const name : files.limits) {
    const auto limit = ReadNumber(folder / name);
    if (!limit.has_value()) continue;
    tightest->Add(*limit, used, absl::StrCat(name, " of ", group.string()));
  }
}

// The group and all above it, whose limits bind as well. In a container the
// name may be that outside of it; then only the topmost is there.
void AddGroups(const fs::path& root, const std::string& name,
               const CgroupFiles& files, Tightest* tightest) {
  fs::path group = name;
  for (;;) {
    AddGroup(root / files.mount / group.relative_path(), group, files,
             tightest);
    if (!group.has_relative_path()) return;
    group = group.parent_path();
  }
}

void AddCgroups(const fs::path& root, Tightest* tightest) {
  std::ifstream file(root / "proc/self/cgroup");
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
      AddGroups(root, parts[2], VersionOne(), tightest);
    } else if (parts[0] == "0") {
      AddGroups(root, parts[2], VersionTwo(), tightest);
    }
  }
}

// The soft limit of a line of /proc/self/limits that begins with `name`.
std::optional<uint64_t> ReadSoftLimit(const fs::path& root,
                                      absl::string_view name) {
  std::ifstream file(root / "proc/self/limits");
  std::string line;
  while (std::getline(file, line)) {
    absl::string_view rest = line;
    if (!absl::ConsumePrefix(&rest, name)) continue;
    uint64_t bytes = 0;
    rest = absl::StripLeadingAsciiWhitespace(rest);
    const bool is_number =
        absl::SimpleAtoi(rest.substr(0, rest.find(' ')), &bytes);
    return is_number ? std::make_optional(bytes) : std::nullopt;
  }
  return std::nullopt;
}

void AddResourceLimits(const fs::path& root, Tightest* tightest) {
  struct Limit {
    const char* name;
    const char* line;   // of /proc/self/limits
    const char* usage;  // in /proc/self/status
  };
  for (const Limit& limit :
       {Limit{"RLIMIT_AS", "Max address space", "VmSize:"},
        Limit{"RLIMIT_DATA", "Max data size", "VmData:"}}) {
    const auto bytes = ReadSoftLimit(root, limit.line);
    const auto used = ReadKibibytes(root / "proc/self/status", limit.usage);
    if (bytes.has_value() && used.has_value()) {
      tightest->Add(*bytes, *used, limit.name);
    }
  }
}

}  // namespace

AvailableMemory FindAvailableMemory(const std::string& root) {
  Tightest tightest;
  AddMachine(root, &tightest);
  AddCgroups(root, &tightest);
  AddResourceLimits(root, &tightest);
  return tightest.found();
}

}  // namespace neumf
