#include "data/text_lines.h"

#include "absl/strings/strip.h"

namespace neumf {

absl::string_view WithoutByteOrderMark(absl::string_view text) {
  return absl::StripPrefix(text, "\xEF\xBB\xBF");
}

absl::string_view TakeLine(absl::string_view* text) {
  const size_t end = text->find('\n');
  const absl::string_view line = text->substr(0, end);
  text->remove_prefix(end == absl::string_view::npos ? text->size() : end + 1);
  return absl::StripSuffix(line, "\r");
}

LineScanner::LineScanner(absl::string_view text)
    : rest_(WithoutByteOrderMark(text)) {}

bool LineScanner::Next() {
  do {
    if (rest_.empty()) return false;
    line_ = TakeLine(&rest_);
    ++line_number_;
  } while (line_.empty());
  return true;
}

void SplitLine(absl::string_view line, char separator,
               std::vector<absl::string_view>* fields) {
  fields->clear();
  size_t end = line.find(separator);
  while (end != absl::string_view::npos) {
    fields->push_back(line.substr(0, end));
    line.remove_prefix(end + 1);
    end = line.find(separator);
  }
  fields->push_back(line);
}

}  // namespace neumf
