#pragma once

// The flags of a program as its --help shows them.

#include <string>

#include "absl/strings/string_view.h"

namespace neumf {

// Those that files of the folder `folder` ("trainer") define, in groups by the
// command that a flag's help begins with: "train: of ...". Lines have at most
// 80 columns.
std::string FlagsHelp(absl::string_view folder);

}  // namespace neumf
