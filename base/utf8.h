#pragma once

#include "absl/strings/string_view.h"

namespace neumf {

// Well-formed UTF-8 (RFC 3629): shortest forms only, no surrogates, nothing
// above U+10FFFF.
bool IsValidUtf8(absl::string_view text);

}  // namespace neumf
