#pragma once

// A FileSystem with one folder of files, in memory, to read them from.

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/checkpoint/memory_file.h"

namespace neumf {

// Files are found by the last name of a path; a path with no such file is the
// folder. What MemoryFile does not do this does not do either.
class MemoryFolder : public MemoryFile {
 public:
  void Put(const std::string& name, std::string content) {
    files_[name] = std::make_unique<MemoryFile>(std::move(content));
  }

  absl::StatusOr<std::unique_ptr<ReadableFile>> OpenForRead(
      absl::string_view path) override {
    const auto found = files_.find(NameOf(path));
    if (found == files_.end()) return absl::NotFoundError(path);
    return found->second->OpenForRead(path);
  }
  absl::StatusOr<std::vector<std::string>> ListDirectory(
      absl::string_view) override {
    std::vector<std::string> names;
    for (const auto& [name, file] : files_) names.push_back(name);
    return names;
  }
  absl::StatusOr<FileInfo> Stat(absl::string_view path) override {
    FileInfo info;
    info.is_regular = files_.count(NameOf(path)) > 0;
    return info;
  }

 private:
  static std::string NameOf(absl::string_view path) {
    return std::string(path.substr(path.rfind('/') + 1));
  }

  std::map<std::string, std::unique_ptr<MemoryFile>> files_;
};

}  // namespace neumf
