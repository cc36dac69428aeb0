#include "client/titles.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "data/csv_scanner.h"
#include "data/text_lines.h"

namespace neumf {
namespace {

// Far above any catalog's titles.
constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;

// Empty when the record is an item and its title.
absl::string_view ProblemOf(const CsvScanner& record) {
  if (!record.problem().empty()) return record.problem();
  if (record.fields().size() != 2) return "not two fields: item_id,title";
  for (const absl::string_view field : record.fields()) {
    if (!IsValidUtf8(field)) return "not UTF-8";
  }
  return "";
}

bool IsHeader(const CsvScanner& record) {
  return record.fields()[0] == "item_id" && record.fields()[1] == "title";
}

}  // namespace

absl::StatusOr<Titles> ReadTitles(FileSystem& files, absl::string_view path) {
  NEUMF_ASSIGN_OR_RETURN(const std::string text,
                         ReadWholeFile(files, path, kMaxFileBytes));
  Titles titles;
  CsvScanner scanner(WithoutByteOrderMark(text));
  while (scanner.Next()) {
    const absl::string_view problem = ProblemOf(scanner);
    if (!problem.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ":", scanner.line_number(), ": ", problem));
    }
    if (IsHeader(scanner)) continue;
    titles.emplace(scanner.fields()[0], scanner.fields()[1]);
  }
  return titles;
}

}  // namespace neumf
