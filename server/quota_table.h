#pragma once

// What callers may ask for, by the file of --quota_file, one caller a line:
//
//   # caller  users a second  burst
//   shop      500             2000
//   reports   unlimited
//   *         50              100
//
// A quota is a bucket of users: it holds `burst` of them, every user that is
// asked for takes one out, and so many a second flow in. `*` is for callers
// without a line; where it is missing, they have no quota. '#' starts a
// comment, blank lines are skipped.
//
// Immutable: any thread may read it.

#include <cstddef>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace neumf {

struct Quota {
  double users_per_second = 0;
  double burst_users = 0;
};

class QuotaTable {
 public:
  // Bounds of both numbers of a quota.
  static constexpr double kLeastRate = 0.001;
  static constexpr double kLeastBurst = 1;
  static constexpr double kMost = 1e9;

  // INVALID_ARGUMENT gives the number of the line and what is wrong with it.
  static absl::StatusOr<QuotaTable> Parse(absl::string_view text);

  // Null for a caller who may ask for any number of users; valid as long as the
  // table.
  const Quota* Find(absl::string_view caller) const;

  size_t size() const { return quotas_.size(); }

 private:
  absl::Status AddLine(absl::string_view line);

  // By the name of the caller, or "*"; without a value: unlimited.
  absl::flat_hash_map<std::string, std::optional<Quota>> quotas_;
};

}  // namespace neumf
