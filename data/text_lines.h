#pragma once

// Cutting a text into lines and a line into fields, without copying.

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"

namespace neumf {

// `text` without the UTF-8 byte order mark that some editors write first.
absl::string_view WithoutByteOrderMark(absl::string_view text);

// Cuts the first line off `*text` and returns it without its LF or CRLF. The
// last line may lack one. REQUIRES: !text->empty().
absl::string_view TakeLine(absl::string_view* text);

// Walks the lines of a text that are not empty, past a byte order mark.
//
//   LineScanner scanner(text);
//   while (scanner.Next()) Use(scanner.line_number(), scanner.line());
//
// Belongs to one thread.
class LineScanner {
 public:
  // `text` must outlive the scanner.
  explicit LineScanner(absl::string_view text);

  // Moves to the next line. False at the end of the text.
  bool Next();

  // Of the line that Next() moved to: its number, from 1, empty ones counted,
  // and its text without LF or CRLF.
  uint64_t line_number() const { return line_number_; }
  absl::string_view line() const { return line_; }

 private:
  absl::string_view rest_;
  uint64_t line_number_ = 0;
  absl::string_view line_;
};

// Replaces `*fields` with the parts of `line` between separators: one more than
// there are separators.
void SplitLine(absl::string_view line, char separator,
               std::vector<absl::string_view>* fields);

}  // namespace neumf
