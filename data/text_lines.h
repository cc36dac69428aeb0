#pragma once

// Cutting a text into lines and a line into fields, without copying.

#include <vector>

#include "absl/strings/string_view.h"

namespace neumf {

// `text` without the UTF-8 byte order mark that some editors write first.
absl::string_view WithoutByteOrderMark(absl::string_view text);

// Cuts the first line off `*text` and returns it without its LF or CRLF. The
// last line may lack one. REQUIRES: !text->empty().
absl::string_view TakeLine(absl::string_view* text);

// Replaces `*fields` with the parts of `line` between separators: one more than
// there are separators.
void SplitLine(absl::string_view line, char separator,
               std::vector<absl::string_view>* fields);

}  // namespace neumf
