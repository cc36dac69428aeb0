#pragma once

// `serving.json`, beside the checkpoints: which of them the daemons on that
// directory serve.
//
//   {"serve": "largest", "refuse": [7]}
//   {"serve": 5, "refuse": [6, 7]}
//
// `serve` is "largest", the default, or a version that everything else gives way
// to. What stands in `refuse`, empty by default, is never served. No file is the
// default policy. One that holds anything else, or refuses what it serves, is
// none at all: half of an operator's wish could be the opposite of it.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/file_system.h"

namespace neumf {

constexpr char kServingPolicyFile[] = "serving.json";
constexpr size_t kMaxServingPolicyBytes = 64 << 10;
constexpr size_t kMaxRefusedVersions = 1000;

struct ServingPolicy {
  std::optional<uint64_t> pinned;  // absent: the largest
  std::set<uint64_t> refused;      // without `pinned`

  bool Refuses(uint64_t version) const { return refused.count(version) > 0; }
  // When there are too many, the smallest are forgotten: those above serve.
  void Refuse(uint64_t version);

  friend bool operator==(const ServingPolicy& a, const ServingPolicy& b) {
    return a.pinned == b.pinned && a.refused == b.refused;
  }
};

// DATA_LOSS says what is wrong.
absl::StatusOr<ServingPolicy> ParseServingPolicy(absl::string_view text);
// What ParseServingPolicy() reads as `policy`, with a newline at the end.
std::string FormatServingPolicy(const ServingPolicy& policy);

// That of `directory`; the default one when there is no file. The errors of
// ParseServingPolicy() and of files.
absl::StatusOr<ServingPolicy> ReadServingPolicy(FileSystem& files,
                                                absl::string_view directory);
// Replaces the file atomically. Two writers at once: the last one counts.
absl::Status WriteServingPolicy(FileSystem& files, absl::string_view directory,
                                const ServingPolicy& policy);

}  // namespace neumf
