#include "server/caller.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/errors.h"

namespace neumf {
namespace {

// In the order of Right.
constexpr std::array<const char*, 5> kRightNames = {
    "recommend", "recommend.seen", "models.read", "models.write",
    "metrics.read"};

}  // namespace

const char* RightName(Right right) {
  return kRightNames[static_cast<size_t>(right)];
}

std::optional<Right> FindRight(absl::string_view name) {
  for (size_t i = 0; i < kRightNames.size(); ++i) {
    if (name == kRightNames[i]) return static_cast<Right>(i);
  }
  return std::nullopt;
}

bool IsCallerName(absl::string_view text) {
  return !text.empty() && text.size() <= kMaxCallerNameBytes &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
         });
}

absl::Status CheckRight(const Caller& caller, Right right) {
  if (caller.rights.Has(right)) return absl::OkStatus();
  return PermissionDenied(
      "MISSING_RIGHT",
      absl::StrCat("this caller lacks the right ", RightName(right)));
}

}  // namespace neumf
