#pragma once

// The command line of neumf-server.

#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/file_system.h"
#include "server/server.h"

namespace neumf {

// What the command line asks for: a text to print, or a server to run.
struct Command {
  std::string text;  // of --help and --version; empty otherwise
  Server::Options options;
};

// `args` without the program's name; `files` is for --flagfile.
// INVALID_ARGUMENT is one line that names the flag.
absl::StatusOr<Command> ParseCommand(absl::Span<const std::string> args,
                                     FileSystem& files);

}  // namespace neumf
