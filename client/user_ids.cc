#include "client/user_ids.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "data/text_lines.h"

namespace neumf {
namespace {

constexpr uint64_t kMaxUsersFileBytes = uint64_t{1} << 30;

}  // namespace

absl::StatusOr<std::vector<std::string>> ReadUserIds(FileSystem& files,
                                                     absl::string_view path) {
  NEUMF_ASSIGN_OR_RETURN(const std::string text,
                         ReadWholeFile(files, path, kMaxUsersFileBytes));
  std::vector<std::string> ids;
  LineScanner lines(text);
  while (lines.Next()) {
    if (!IsValidUtf8(lines.line())) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": line ", lines.line_number(), ": the id is not UTF-8"));
    }
    ids.emplace_back(lines.line());
  }
  if (ids.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": there is no user"));
  }
  return ids;
}

}  // namespace neumf
