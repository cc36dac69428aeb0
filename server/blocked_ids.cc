#include "server/blocked_ids.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "model/id_table.h"

namespace neumf {
namespace {

absl::Status Wrong(absl::string_view what) {
  return absl::InvalidArgumentError(what);
}

absl::StatusOr<std::string> Unquote(absl::string_view line) {
  std::string id;
  // The closing quote is not one that is escaped: that would leave a lone
  // backslash at the end, which is no escape.
  const bool is_closed = line.size() >= 2 && line.back() == '"';
  if (!is_closed || !absl::CUnescape(line.substr(1, line.size() - 2), &id)) {
    return Wrong("is not an id in double quotes with the escapes of C");
  }
  return id;
}

absl::StatusOr<std::string> ReadPlain(absl::string_view line) {
  if (std::any_of(line.begin(), line.end(), absl::ascii_iscntrl)) {
    return Wrong("holds a control character, such as a carriage return");
  }
  if (line.front() == ' ' || line.back() == ' ') {
    return Wrong("begins or ends with a space; ids that do stand in quotes");
  }
  return std::string(line);
}

absl::StatusOr<std::string> ParseId(absl::string_view line) {
  NEUMF_ASSIGN_OR_RETURN(std::string id,
                         line.front() == '"' ? Unquote(line) : ReadPlain(line));
  if (id.empty() || id.size() > IdTable::kMaxIdBytes) {
    return Wrong(
        absl::StrCat("the id has not 1 to ", IdTable::kMaxIdBytes, " bytes"));
  }
  if (!IsValidUtf8(id)) return Wrong("the id is not UTF-8");
  return id;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseBlockedIds(
    absl::string_view text) {
  if (text.empty()) {
    return Wrong("there is no line; '# none' is one that blocks nothing");
  }
  if (text.back() != '\n') {
    return Wrong("the last line is not ended, as in a file that is cut off");
  }
  // It would be taken for a part of the first id, which no model then has.
  if (absl::StartsWith(text, "\xEF\xBB\xBF")) {
    return Wrong("the file begins with a byte-order mark");
  }
  text.remove_suffix(1);
  std::vector<std::string> ids;
  size_t number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    if (line.empty() || line.front() == '#') continue;
    absl::StatusOr<std::string> id = ParseId(line);
    if (!id.ok()) {
      return Wrong(absl::StrCat("line ", number, ": ", id.status().message()));
    }
    ids.push_back(*std::move(id));
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace neumf
