#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace neumf {

// Well-formed UTF-8 (RFC 3629): shortest forms only, no surrogates, nothing
// above U+10FFFF.
bool IsValidUtf8(absl::string_view text);

// `text`, or as many of its first characters as fit into `max_bytes`, and "..."
// after them: to quote in a message what may be a whole file. Of what is no
// UTF-8 the first bytes.
std::string Excerpt(absl::string_view text, size_t max_bytes = 100);

}  // namespace neumf
