#include "client/text_table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/logging.h"

namespace neumf {
namespace {

constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr size_t kGap = 2;

// Characters, counted by the bytes that begin one.
size_t Width(absl::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (c & 0xC0) != 0x80; });
}

// The length of the control character (C0, DEL or C1) at the start of `text`;
// 0 when something else stands there. REQUIRES: !text.empty().
size_t ControlCharacterBytes(absl::string_view text) {
  if (absl::ascii_iscntrl(static_cast<unsigned char>(text[0]))) return 1;
  const bool is_c1 = text.size() > 1 && text[0] == '\xC2' &&
                     static_cast<unsigned char>(text[1]) <= 0x9F;
  return is_c1 ? 2 : 0;
}

}  // namespace

std::string Printable(absl::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const size_t control_bytes = ControlCharacterBytes(text);
    absl::StrAppend(&result,
                    control_bytes > 0 ? kReplacement : text.substr(0, 1));
    text.remove_prefix(std::max<size_t>(control_bytes, 1));
  }
  return result;
}

TextTable::TextTable(std::vector<Column> columns)
    : columns_(std::move(columns)) {
  std::vector<std::string> headers;
  for (const Column& column : columns_) headers.push_back(column.header);
  AddRow(std::move(headers));
}

void TextTable::AddRow(std::vector<std::string> cells) {
  NEUMF_CHECK(cells.size() == columns_.size());
  for (std::string& cell : cells) cell = Printable(cell);
  rows_.push_back(std::move(cells));
}

std::string TextTable::ToString() const {
  std::vector<size_t> widths(columns_.size(), 0);
  for (const auto& row : rows_) {
    for (size_t c = 0; c < row.size(); ++c) {
      widths[c] = std::max(widths[c], Width(row[c]));
    }
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string padding(widths[c] - Width(row[c]), ' ');
      const bool left = columns_[c].align == Align::kLeft;
      absl::StrAppend(&line, left ? row[c] : padding, left ? padding : row[c],
                      std::string(kGap, ' '));
    }
    absl::StripTrailingAsciiWhitespace(&line);
    absl::StrAppend(&text, line, "\n");
  }
  return text;
}

}  // namespace neumf
