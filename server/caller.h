#pragma once

// Who calls, and what that caller may do.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace neumf {

// What callers are allowed one by one.
enum class Right {
  // Recommend and BatchRecommend.
  kRecommend,
  // Answers with items that the user has seen, SEEN_POLICY_KEEP and ONLY: they
  // tell what somebody has watched or bought.
  kRecommendSeen,
  // ListModelVersions and WatchModelVersions.
  kModelsRead,
  // LoadModelVersion and RollbackModelVersion.
  kModelsWrite,
  // /metrics, where they are asked for.
  kMetricsRead,
};

const char* RightName(Right right);  // "recommend", "recommend.seen", ...
std::optional<Right> FindRight(absl::string_view name);

// A set of them.
class Rights {
 public:
  static Rights All() { return Rights(~uint32_t{0}); }
  Rights() = default;

  void Add(Right right) { bits_ |= Bit(right); }
  bool Has(Right right) const { return (bits_ & Bit(right)) != 0; }

 private:
  explicit Rights(uint32_t bits) : bits_(bits) {}
  static uint32_t Bit(Right right) {
    return uint32_t{1} << static_cast<uint32_t>(right);
  }

  uint32_t bits_ = 0;
};

// Names go into logs and quotas, so they are plain: at most 64 letters, digits,
// '-', '_' and '.'.
constexpr size_t kMaxCallerNameBytes = 64;
bool IsCallerName(absl::string_view text);

struct Caller {
  // As the operator calls it; empty where nobody is asked.
  std::string name;
  Rights rights;
};

// PERMISSION_DENIED with ErrorInfo when `caller` lacks `right`.
absl::Status CheckRight(const Caller& caller, Right right);

}  // namespace neumf
